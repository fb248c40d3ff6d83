#pragma once

#include <string_view>

namespace gantry::node {

// The number of a stop signal as images and pods name it ("SIGQUIT", "QUIT", "3", "RTMIN+3"); that
// of SIGTERM for what is none.
int SignalNumber(std::string_view name);

}  // namespace gantry::node

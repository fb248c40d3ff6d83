#pragma once

#include <string>
#include <string_view>

namespace gantry::node {

// The number of a stop signal as images and pods name it ("SIGQUIT", "QUIT", "3", "RTMIN+3"); that
// of SIGTERM for what is none.
int SignalNumber(std::string_view name);
// The one that the image of a bundle's container asks for, as it was written down there.
int StopSignalOf(const std::string& bundle);

}  // namespace gantry::node

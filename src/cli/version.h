#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace gantry::cli {

// The header by which servers and agents tell each other which gantry they are.
inline constexpr char kVersionHeader[] = "Gantry-Version";

// "0.1.0"
std::string_view ProgramVersion();

// Whether a server and an agent of these versions work together: those of the same release and of
// neighbouring ones do. `agent` empty: from before versions were told. The failure says which of
// the two is to be upgraded.
Status CheckVersions(std::string_view server, std::string_view agent);

}  // namespace gantry::cli

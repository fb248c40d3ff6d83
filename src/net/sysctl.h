#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace gantry::net {

// Writes /proc/sys/net/<name>, a path such as "ipv4/ip_forward", where it does not hold `value`
// already. kNotFound where the kernel has no such setting. Threading: any thread.
Status SetNetSysctl(const std::string& name, std::string_view value);

// What it holds now, without the line's end.
Result<std::string> GetNetSysctl(const std::string& name);

}  // namespace gantry::net

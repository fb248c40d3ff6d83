#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gantry::apiserver {

inline constexpr std::string_view kSystemMasters = "system:masters";
inline constexpr std::string_view kAuthenticatedGroup = "system:authenticated";
inline constexpr std::string_view kUnauthenticatedGroup = "system:unauthenticated";
inline constexpr std::string_view kAnonymousUser = "system:anonymous";

// Who makes a request. Threading: a value.
struct UserInfo {
  UserInfo() = default;
  explicit UserInfo(std::string user_name, std::vector<std::string> user_groups = {})
      : name(std::move(user_name)), groups(std::move(user_groups)) {}

  std::string name;
  std::string uid;
  std::vector<std::string> groups;
  std::vector<std::pair<std::string, std::vector<std::string>>> extra;  // ordered by key

  bool InGroup(std::string_view group) const {
    return std::find(groups.begin(), groups.end(), group) != groups.end();
  }
};

}  // namespace gantry::apiserver

#pragma once

namespace gantry::cli {

// Where a server with an etcd of its own lists the members, lets one in and takes one out.
inline constexpr char kEtcdMembersPath[] = "/apis/gantry/v1/etcd-members";

}  // namespace gantry::cli

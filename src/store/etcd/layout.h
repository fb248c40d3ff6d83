#pragma once

#include <string_view>

// What gantry keeps in etcd beside the cluster's objects, which are below /registry/.
namespace gantry::store::etcd {

// What has to be added to etcd's revisions: 0 unless a snapshot was restored into it. Decimal.
constexpr std::string_view kOffsetKey = "gantry/revision-offset";
// There while a snapshot is being restored.
constexpr std::string_view kRestoringKey = "gantry/restoring";
// One for each running process (session.h).
constexpr std::string_view kFencePrefix = "gantry/fence/";
// The cluster's keys and certificates, encrypted (src/cli).
constexpr std::string_view kBootstrapKey = "gantry/bootstrap";

}  // namespace gantry::store::etcd

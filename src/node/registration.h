#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "api/core/v1/node.pb.h"
#include "api/object.h"
#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/status.h"
#include "client/client.h"
#include "node/node_object.h"

namespace gantry::node {

// Which agent a node belongs to: an annotation of the Node.
inline constexpr char kAgentAnnotation[] = "gantry.dev/agent";

struct RegistrationOptions {
  RegistrationOptions() = default;
  // What a node that is new gets; one that is there keeps what it has, as with the kubelet.
  std::map<std::string, std::string> labels;
  std::vector<api::core::v1::Taint> taints;
  std::string agent_id;  // of this data directory
};

// "a=b,c=d" as the kubelet takes --node-labels. kInvalid for what is malformed, and for labels that
// a node may not give itself.
Result<std::map<std::string, std::string>> ParseNodeLabels(std::string_view text);
// "key=value:NoSchedule,key:NoExecute" as the kubelet takes --register-with-taints.
Result<std::vector<api::core::v1::Taint>> ParseNodeTaints(std::string_view text);

// The Node as the server has it after this: made, or brought up to date. kConflict when another
// agent that lives has this node's name: whether it does is seen by its lease, which takes up to
// the lease's duration.
Task<Result<api::Ref<api::core::v1::Node>>> RegisterNode(Env& env, client::Client& client,
                                                         NodeInputs inputs,
                                                         RegistrationOptions options,
                                                         CancelToken cancel);

}  // namespace gantry::node

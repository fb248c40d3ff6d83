#pragma once

#include <string_view>
#include <vector>

#include "api/core/v1/pod.pb.h"
#include "api/object.h"
#include "client/informer.h"

namespace gantry::controllers {

// Adds the index that PodsOnNode reads. Before the informer's Start.
void IndexPodsByNode(client::Informer& pods);
std::vector<api::Ref<api::core::v1::Pod>> PodsOnNode(const client::Informer& pods,
                                                     std::string_view node);

}  // namespace gantry::controllers

#pragma once

#include <string_view>

#include "base/status.h"
#include "store/etcd/channel.h"
#include "store/etcd/etcd_store.h"

namespace gantry::store::etcd {

// "HOST:PORT", "HOST" or "[V6]:PORT". kBadRequest for others.
Result<Endpoint> ParseEndpoint(std::string_view text);

// Where and how to connect. kBadRequest for what is no such URL, or for keys that cannot be used.
Result<ChannelOptions> ChannelOptionsFor(const EtcdOptions& options);

}  // namespace gantry::store::etcd

#pragma once

#include <memory>

#include "client/reconciler.h"

namespace gantry::controllers {

// Keeps the EndpointSlices of every service with a selector equal to the pods that it selects.
std::unique_ptr<client::Reconciler> MakeEndpointSliceController();

// The older Endpoints object of each such service, for clients that still read it.
std::unique_ptr<client::Reconciler> MakeEndpointsController();

// EndpointSlices of what people write into the Endpoints of services without a selector.
std::unique_ptr<client::Reconciler> MakeEndpointSliceMirroringController();

}  // namespace gantry::controllers

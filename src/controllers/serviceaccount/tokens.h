#pragma once

#include <functional>
#include <memory>
#include <string>

#include "api/core/v1/secret.pb.h"
#include "api/core/v1/service_account.pb.h"
#include "client/reconciler.h"

namespace gantry::controllers {

// A token that stands for the account for as long as the secret holds it.
using IssueSecretToken = std::function<Result<std::string>(
    const api::core::v1::ServiceAccount& account, const api::core::v1::Secret& secret)>;

// Fills secrets of type kubernetes.io/service-account-token (token, CA certificate, namespace).
// They go with their account, and an account forgets those of them that were deleted.
std::unique_ptr<client::Reconciler> MakeTokenController(IssueSecretToken issue,
                                                        std::string ca_certificate);

}  // namespace gantry::controllers

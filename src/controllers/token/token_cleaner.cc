#include "controllers/token/token_cleaner.h"

#include "api/core/v1/secret.pb.h"
#include "api/duration.h"
#include "api/owners.h"

namespace gantry::controllers {
namespace {

using api::core::v1::Secret;
using client::Plan;

constexpr char kNamespace[] = "kube-system";
constexpr char kType[] = "bootstrap.kubernetes.io/token";

class TokenCleaner : public client::Reconciler {
 public:
  std::string_view name() const override { return "token-cleaner"; }

  void Setup(client::InformerSet& informers, Enqueue enqueue) override {
    client::ListOptions tokens;
    tokens.ns = kNamespace;

    secrets_ = &informers.For(api::KindOf<Secret>(), tokens);
    secrets_->AddHandler([enqueue](const api::ObjectPtr&, const api::ObjectPtr& after) {
      if (after) enqueue({after->ns(), after->name()});
    });
  }

  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    Plan plan;
    api::Ref<Secret> secret = client::GetFrom<Secret>(*secrets_, key.ns, key.name);
    if (!secret || secret->type() != kType || api::IsBeingDeleted(secret->metadata())) return plan;
    auto it = secret->data().find("expiration");
    if (it == secret->data().end() || it->second.empty()) return plan;
    Result<WallTime> until = api::ParseTime(it->second);
    // What is no time counts as past, as it does when the token is used.
    if (!until.ok() || *until <= now) {
      plan.Delete(*secret);
    } else {
      plan.requeue_after = *until - now;
    }
    return plan;
  }

 private:
  client::Informer* secrets_ = nullptr;
};

}  // namespace

std::unique_ptr<client::Reconciler> MakeTokenCleaner() { return std::make_unique<TokenCleaner>(); }

}  // namespace gantry::controllers

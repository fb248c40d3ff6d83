#include "controllers/serviceaccount/tokens.h"

#include <algorithm>

#include "api/owners.h"

namespace gantry::controllers {
namespace {

using api::core::v1::Secret;
using api::core::v1::ServiceAccount;
using client::Plan;

constexpr char kType[] = "kubernetes.io/service-account-token";
constexpr char kAccountName[] = "kubernetes.io/service-account.name";
constexpr char kAccountUid[] = "kubernetes.io/service-account.uid";
constexpr char kByAccount[] = "account of token";

std::string Annotation(const Secret& secret, const char* key) {
  auto found = secret.metadata().annotations().find(key);
  return found == secret.metadata().annotations().end() ? std::string() : found->second;
}

bool IsToken(const Secret& secret) { return secret.type() == kType; }

// A deleted secret as a key: its account's name in front, which no secret's name can hold.
client::Reconciler::Key ForgetKey(const Secret& secret) {
  return {secret.metadata().namespace_(),
          Annotation(secret, kAccountName) + "/" + secret.metadata().name()};
}

class TokenController : public client::Reconciler {
 public:
  TokenController(IssueSecretToken issue, std::string ca)
      : issue_(std::move(issue)), ca_(std::move(ca)) {}

  std::string_view name() const override { return "serviceaccount-token"; }

  void Setup(client::InformerSet& informers, Enqueue enqueue) override {
    secrets_ = &informers.For<Secret>();
    accounts_ = &informers.For<ServiceAccount>();
    secrets_->AddIndex(kByAccount, [](const api::Object& object) {
      const auto& secret = object.As<Secret>();
      std::vector<std::string> keys;
      if (IsToken(secret)) keys.push_back(object.ns() + "/" + Annotation(secret, kAccountName));
      return keys;
    });
    secrets_->AddHandler([enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      const auto& secret = (after ? after : before)->As<Secret>();
      if (!IsToken(secret)) return;
      enqueue(after ? Key{after->ns(), after->name()} : ForgetKey(secret));
    });
    accounts_->AddHandler(
        [this, enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
          const api::Object& account = after ? *after : *before;
          for (const api::ObjectPtr& secret :
               secrets_->ByIndex(kByAccount, account.ns() + "/" + account.name()))
            enqueue({secret->ns(), secret->name()});
        });
  }

  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    if (const size_t slash = key.name.find('/'); slash != std::string::npos)
      return Forget(key.ns, key.name.substr(0, slash), key.name.substr(slash + 1));
    Plan plan;
    api::Ref<Secret> secret = client::GetFrom<Secret>(*secrets_, key.ns, key.name);
    if (!secret || !IsToken(*secret) || api::IsBeingDeleted(secret->metadata())) return plan;
    const std::string name = Annotation(*secret, kAccountName);
    if (name.empty()) return plan;
    // An account that was made just before the secret must be in view.
    if (accounts_->revision() < secret.object()->revision()) {
      plan.look_again_at.push_back({accounts_, secret.object()->revision()});
      return plan;
    }
    api::Ref<ServiceAccount> account = client::GetFrom<ServiceAccount>(*accounts_, key.ns, name);
    const std::string uid = Annotation(*secret, kAccountUid);
    if (!account || (!uid.empty() && uid != account->metadata().uid())) {
      plan.Delete(*secret);
      return plan;
    }
    return Fill(*account, *secret);
  }

 private:
  Result<Plan> Fill(const ServiceAccount& account, const Secret& secret) const {
    auto lacks = [&secret](const char* field) {
      auto found = secret.data().find(field);
      return found == secret.data().end() || found->second.empty();
    };
    auto ca = secret.data().find("ca.crt");
    const bool wrong_ca = !ca_.empty() && (ca == secret.data().end() || ca->second != ca_);
    Plan plan;
    if (!wrong_ca && !lacks("namespace") && !lacks("token")) return plan;
    Secret filled = secret;
    auto* data = filled.mutable_data();
    if (wrong_ca) (*data)["ca.crt"] = ca_;
    if (lacks("namespace")) (*data)["namespace"] = secret.metadata().namespace_();
    if (lacks("token")) {
      GANTRY_ASSIGN((*data)["token"], issue_(account, secret));
    }
    auto* annotations = filled.mutable_metadata()->mutable_annotations();
    (*annotations)[kAccountName] = account.metadata().name();
    (*annotations)[kAccountUid] = account.metadata().uid();
    plan.Update(std::move(filled));
    return plan;
  }

  // The account names the secret no more, unless there is one of that name again.
  Plan Forget(const std::string& ns, const std::string& name, const std::string& secret) const {
    Plan plan;
    api::Ref<ServiceAccount> account = client::GetFrom<ServiceAccount>(*accounts_, ns, name);
    if (!account || secrets_->Get(ns, secret)) return plan;
    const auto& named = account->secrets();
    auto is_it = [&secret](const auto& reference) { return reference.name() == secret; };
    if (std::none_of(named.begin(), named.end(), is_it)) return plan;
    ServiceAccount changed = *account;
    auto* left = changed.mutable_secrets();
    left->erase(std::remove_if(left->begin(), left->end(), is_it), left->end());
    plan.Update(std::move(changed));
    return plan;
  }

  const IssueSecretToken issue_;
  const std::string ca_;
  client::Informer* secrets_ = nullptr;
  client::Informer* accounts_ = nullptr;
};

}  // namespace

std::unique_ptr<client::Reconciler> MakeTokenController(IssueSecretToken issue,
                                                        std::string ca_certificate) {
  return std::make_unique<TokenController>(std::move(issue), std::move(ca_certificate));
}

}  // namespace gantry::controllers

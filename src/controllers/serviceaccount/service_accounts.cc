#include "controllers/serviceaccount/service_accounts.h"

#include "api/core/v1/config_map.pb.h"
#include "api/core/v1/service_account.pb.h"
#include "controllers/serviceaccount/per_namespace.h"

namespace gantry::controllers {
namespace {

using api::core::v1::ConfigMap;
using api::core::v1::Namespace;
using api::core::v1::ServiceAccount;
using client::Plan;

class ServiceAccountController : public client::Reconciler {
 public:
  std::string_view name() const override { return "serviceaccount"; }

  void Setup(client::InformerSet& informers, Enqueue enqueue) override {
    namespaces_ = &informers.For<Namespace>();
    accounts_ = &informers.For<ServiceAccount>();
    WatchOneInEachNamespace<ServiceAccount>(*namespaces_, *accounts_, "default", enqueue);
  }

  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    Plan plan;
    if (!IsActiveNamespace(*namespaces_, key.name) || accounts_->Get(key.name, "default"))
      return plan;
    ServiceAccount account;
    account.mutable_metadata()->set_name("default");
    account.mutable_metadata()->set_namespace_(key.name);
    plan.Create(std::move(account));
    plan.actions.back().tolerate_exists = true;
    return plan;
  }

 private:
  client::Informer* namespaces_ = nullptr;
  client::Informer* accounts_ = nullptr;
};

constexpr char kRootCa[] = "kube-root-ca.crt";
constexpr char kDescription[] = "kubernetes.io/description";
constexpr char kDescriptionText[] =
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal "
    "endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across "
    "distributions of Kubernetes "
    "clusters.";

class RootCaPublisher : public client::Reconciler {
 public:
  explicit RootCaPublisher(std::string certificate) : certificate_(std::move(certificate)) {}

  std::string_view name() const override { return "root-ca-certificate-publisher"; }

  void Setup(client::InformerSet& informers, Enqueue enqueue) override {
    namespaces_ = &informers.For<Namespace>();
    maps_ = &informers.For<ConfigMap>();
    WatchOneInEachNamespace<ConfigMap>(*namespaces_, *maps_, kRootCa, enqueue);
  }

  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    Plan plan;
    if (!IsActiveNamespace(*namespaces_, key.name)) return plan;
    api::Ref<ConfigMap> existing = client::GetFrom<ConfigMap>(*maps_, key.name, kRootCa);
    ConfigMap map;
    if (existing) {
      auto data = existing->data().find("ca.crt");
      if (existing->data_size() == 1 && data != existing->data().end() &&
          data->second == certificate_)
        return plan;
      map = *existing;
    }
    map.mutable_metadata()->set_name(kRootCa);
    map.mutable_metadata()->set_namespace_(key.name);
    (*map.mutable_metadata()->mutable_annotations())[kDescription] = kDescriptionText;
    map.clear_data();
    (*map.mutable_data())["ca.crt"] = certificate_;
    if (existing) {
      plan.Update(std::move(map));
    } else {
      plan.Create(std::move(map));
      plan.actions.back().tolerate_exists = true;
    }
    return plan;
  }

 private:
  const std::string certificate_;
  client::Informer* namespaces_ = nullptr;
  client::Informer* maps_ = nullptr;
};

}  // namespace

std::unique_ptr<client::Reconciler> MakeServiceAccountController() {
  return std::make_unique<ServiceAccountController>();
}
std::unique_ptr<client::Reconciler> MakeRootCaPublisher(std::string ca_certificate) {
  return std::make_unique<RootCaPublisher>(std::move(ca_certificate));
}

}  // namespace gantry::controllers

#include <string>

#include "api/apiregistration/v1/apiregistration.pb.h"
#include "api/certificates/v1/signing_request.pb.h"
#include "api/coordination/v1/lease.pb.h"
#include "api/duration.h"
#include "api/flowcontrol/v1/flowcontrol.pb.h"
#include "api/node/v1/runtime_class.pb.h"
#include "api/rbac/v1/rbac.pb.h"
#include "api/scheduling/v1/priority_class.pb.h"
#include "apiserver/tables/cell_text.h"
#include "apiserver/tables/printer.h"

namespace gantry::apiserver::tables {
namespace {

namespace certificates = api::certificates::v1;
namespace coordination = api::coordination::v1;
namespace flow = api::flowcontrol::v1;
namespace node = api::node::v1;
namespace rbac = api::rbac::v1;
namespace registration = api::apiregistration::v1;
namespace scheduling = api::scheduling::v1;

constexpr Column kBinding[] = {
    kName,
    Text("Role", "Role that is granted"),
    kAge,
    Wide("Users", "Users who get it"),
    Wide("Groups", "Groups that get it"),
    Wide("ServiceAccounts", "Service accounts that get it"),
};
template <class Binding>
void BindingRow(const Binding& object, Cells& cells) {
  Strings users, groups, accounts;
  for (const rbac::Subject& subject : object.subjects()) {
    if (subject.kind() == "User") users.push_back(subject.name());
    if (subject.kind() == "Group") groups.push_back(subject.name());
    if (subject.kind() == "ServiceAccount")
      accounts.push_back(subject.namespace_() + "/" + subject.name());
  }
  cells.Add(object.metadata().name());
  cells.Add(object.role_ref().kind() + "/" + object.role_ref().name());
  cells.Age(object.metadata());
  cells.Add(Join(users, ", "));
  cells.Add(Join(groups, ", "));
  cells.Add(Join(accounts, ", "));
}

constexpr Column kSigningRequest[] = {
    kName,
    kAge,
    Text("SignerName", "Who is asked to sign"),
    Text("Requestor", "Who asks"),
    Text("RequestedDuration", "How long the certificate should last"),
    Text("Condition", "Whether the request is approved, and the certificate issued"),
};
void SigningRequestRow(const certificates::CertificateSigningRequest& object, Cells& cells) {
  const auto& conditions = object.status().conditions();
  std::string condition = FindCondition(conditions, "Denied")     ? "Denied"
                          : FindCondition(conditions, "Approved") ? "Approved"
                                                                  : "Pending";
  if (FindCondition(conditions, "Failed")) condition += ",Failed";
  if (!object.status().certificate().empty()) condition += ",Issued";
  std::string duration(kNone);
  if (object.spec().has_expiration_seconds())
    duration = api::HumanDuration(std::chrono::seconds(object.spec().expiration_seconds()));
  cells.Add(object.metadata().name());
  cells.Age(object.metadata());
  cells.Add(OrElse(object.spec().signer_name(), kNone));
  cells.Add(object.spec().username());
  cells.Add(duration);
  cells.Add(condition);
}

constexpr Column kLease[] = {kName, Text("Holder", "Who holds the lease"), kAge};
void LeaseRow(const coordination::Lease& object, Cells& cells) {
  cells.Add(object.metadata().name());
  cells.Add(object.spec().holder_identity());
  cells.Age(object.metadata());
}

constexpr Column kPriorityClass[] = {
    kName,
    Number("Value", "Priority that pods of the class get"),
    Flag("Global-Default", "Whether pods without a class get this one"),
    kAge,
    Text("PreemptionPolicy", "Whether its pods may push others out"),
};
void PriorityClassRow(const scheduling::PriorityClass& object, Cells& cells) {
  cells.Add(object.metadata().name());
  cells.Add(object.value());
  cells.Add(object.global_default());
  cells.Age(object.metadata());
  cells.Add(object.preemption_policy());
}

constexpr Column kRuntimeClass[] = {kName, Text("Handler", "Runtime that runs the pods"), kAge};
void RuntimeClassRow(const node::RuntimeClass& object, Cells& cells) {
  cells.Add(object.metadata().name());
  cells.Add(object.handler());
  cells.Age(object.metadata());
}

constexpr Column kApiService[] = {
    kName,
    Text("Service", "Service that answers for the group version"),
    Text("Available", "Whether it answers"),
    kAge,
};
void ApiServiceRow(const registration::APIService& object, Cells& cells) {
  const registration::APIServiceCondition* available =
      FindCondition(object.status().conditions(), "Available");
  std::string text = "Unknown";
  if (available) {
    text = available->status();
    if (text != "True" && !available->reason().empty()) text += " (" + available->reason() + ")";
  }
  cells.Add(object.metadata().name());
  cells.Add(object.spec().has_service()
                ? object.spec().service().namespace_() + "/" + object.spec().service().name()
                : "Local");
  cells.Add(text);
  cells.Age(object.metadata());
}

constexpr Column kFlowSchema[] = {
    kName,
    Text("PriorityLevel", "Priority level of the requests that match"),
    Text("MatchingPrecedence", "Order in which schemas are tried, the lowest first"),
    Text("DistinguisherMethod", "What tells flows apart"),
    kAge,
    Text("MissingPL", "Whether the priority level does not exist"),
};
void FlowSchemaRow(const flow::FlowSchema& object, Cells& cells) {
  const flow::FlowSchemaCondition* dangling =
      FindCondition(object.status().conditions(), "Dangling");
  cells.Add(object.metadata().name());
  cells.Add(object.spec().priority_level_configuration().name());
  cells.Add(object.spec().matching_precedence());
  cells.Add(object.spec().has_distinguisher_method()
                ? std::string_view(object.spec().distinguisher_method().type())
                : kNone);
  cells.Age(object.metadata());
  cells.Add(dangling ? std::string_view(dangling->status()) : "?");
}
bool FlowSchemaLess(const google::protobuf::Message& a, const google::protobuf::Message& b) {
  const auto& x = static_cast<const flow::FlowSchema&>(a);
  const auto& y = static_cast<const flow::FlowSchema&>(b);
  if (x.spec().matching_precedence() != y.spec().matching_precedence())
    return x.spec().matching_precedence() < y.spec().matching_precedence();
  return x.metadata().name() < y.metadata().name();
}

constexpr Column kPriorityLevel[] = {
    kName,
    Text("Type", "Whether the level limits requests"),
    Text("NominalConcurrencyShares", "Its share of the requests that run at once"),
    Text("Queues", "How many queues it has"),
    Text("HandSize", "How many queues one flow may use"),
    Text("QueueLengthLimit", "How many requests wait in one queue at most"),
    kAge,
};
void PriorityLevelRow(const flow::PriorityLevelConfiguration& object, Cells& cells) {
  const flow::LimitedPriorityLevelConfiguration& limited = object.spec().limited();
  auto add = [&](bool set, int32_t value) {
    if (set) {
      cells.Add(value);
    } else {
      cells.Add(kNone);
    }
  };
  bool queuing = limited.limit_response().has_queuing();
  const flow::QueuingConfiguration& queue = limited.limit_response().queuing();
  cells.Add(object.metadata().name());
  cells.Add(object.spec().type());
  add(object.spec().has_limited() && limited.has_nominal_concurrency_shares(),
      limited.nominal_concurrency_shares());
  add(queuing, queue.queues());
  add(queuing, queue.hand_size());
  add(queuing, queue.queue_length_limit());
  cells.Age(object.metadata());
}

}  // namespace

std::span<const Printer> ClusterPrinters() {
  static const auto* printers = [] {
    auto* all = new std::vector<Printer>{
        PrinterOf<certificates::CertificateSigningRequest, SigningRequestRow>(kSigningRequest),
        PrinterOf<coordination::Lease, LeaseRow>(kLease),
        PrinterOf<flow::FlowSchema, FlowSchemaRow>(kFlowSchema),
        PrinterOf<flow::PriorityLevelConfiguration, PriorityLevelRow>(kPriorityLevel),
        PrinterOf<node::RuntimeClass, RuntimeClassRow>(kRuntimeClass),
        PrinterOf<rbac::ClusterRoleBinding, BindingRow<rbac::ClusterRoleBinding>>(kBinding),
        PrinterOf<rbac::RoleBinding, BindingRow<rbac::RoleBinding>>(kBinding),
        PrinterOf<registration::APIService, ApiServiceRow>(kApiService),
        PrinterOf<scheduling::PriorityClass, PriorityClassRow>(kPriorityClass),
    };
    for (Printer& printer : *all)
      if (printer.type == flow::FlowSchema::descriptor()) printer.less = FlowSchemaLess;
    return all;
  }();
  return *printers;
}

}  // namespace gantry::apiserver::tables

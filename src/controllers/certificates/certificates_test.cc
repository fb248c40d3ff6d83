#include "controllers/certificates/certificates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/certificates/v1/signing_request.pb.h"
#include "api/testing/from_yaml.h"
#include "client/testing/reconciler_harness.h"

namespace gantry::controllers {
namespace {

using Csr = api::certificates::v1::CertificateSigningRequest;
using api::testing::FromYaml;
using std::chrono::hours;
using ::testing::IsEmpty;

constexpr char kNodeSigner[] = "kubernetes.io/kube-apiserver-client-kubelet";
constexpr char kUsages[] = "digital signature, client auth";

// `who` is "user|group".
Csr Request(const std::string& signer, const std::string& who, const std::string& usages) {
  const size_t bar = who.find('|');
  return FromYaml<Csr>("{metadata: {name: r}, spec: {signerName: " + signer + ", username: '" +
                       who.substr(0, bar) + "', groups: ['" + who.substr(bar + 1) +
                       "'], usages: [" + usages + "], request: UEVN}}");
}

// As the default roles have it.
bool MayRequest(const api::certificates::v1::CertificateSigningRequestSpec& who,
                const std::string& subresource) {
  const std::string group = subresource == "nodeclient" ? "system:bootstrappers" : "system:nodes";
  return who.groups_size() > 0 && who.groups(0) == group;
}

TEST(NodeApproval, ApprovesNodesAndNobodyElse) {
  const RequestSubject node{"system:node:n1", {"system:nodes"}, {}, {}, {}, {}};
  struct {
    const char* signer;
    const char* who;
    const char* usages;
    RequestSubject subject;
    const char* message;  // empty: left to people
  } rows[] = {
      {kNodeSigner, "system:node:n1|system:nodes", kUsages, node,
       "Auto approving self kubelet client certificate after SubjectAccessReview."},
      {kNodeSigner, "system:bootstrap:abc|system:bootstrappers", kUsages, node,
       "Auto approving kubelet client certificate after SubjectAccessReview."},
      {kNodeSigner, "system:bootstrap:abc|system:bootstrappers",
       "key encipherment, digital signature, client auth", node,
       "Auto approving kubelet client certificate after SubjectAccessReview."},
      {kNodeSigner, "system:node:n2|system:nodes", kUsages, node, ""},
      {kNodeSigner, "system:node:n1|people", kUsages, node, ""},
      {kNodeSigner, "jane|people", kUsages, node, ""},
      {kNodeSigner, "a|system:bootstrappers", "digital signature, client auth, server auth", node,
       ""},
      {kNodeSigner, "a|system:bootstrappers", "client auth", node, ""},
      {kNodeSigner, "a|system:bootstrappers", "digital signature, client auth, any", node, ""},
      {kNodeSigner,
       "a|system:bootstrappers",
       kUsages,
       {"system:node:n1", {"system:nodes", "system:masters"}, {}, {}, {}, {}},
       ""},
      {kNodeSigner,
       "a|system:bootstrappers",
       kUsages,
       {"admin", {"system:nodes"}, {}, {}, {}, {}},
       ""},
      {kNodeSigner,
       "a|system:bootstrappers",
       kUsages,
       {"system:node:n1", {"system:nodes"}, {"n1.example.com"}, {}, {}, {}},
       ""},
      {"kubernetes.io/kube-apiserver-client", "a|system:bootstrappers", kUsages, node, ""},
  };
  for (const auto& row : rows) {
    const RequestSubject subject = row.subject;
    client::ReconcilerHarness harness(MakeNodeApprovalController(
        [subject](const std::string&) -> Result<RequestSubject> { return subject; }, MayRequest));
    harness.Put(Request(row.signer, row.who, row.usages));
    harness.Settle();
    auto after = harness.client().Peek<Csr>("", "r");
    const std::string message =
        after->status().conditions_size() ? after->status().conditions(0).message() : "";
    EXPECT_EQ(message, row.message) << row.who << " " << row.usages;
    if (!message.empty()) {
      EXPECT_EQ(after->status().conditions(0).type(), "Approved");
      EXPECT_EQ(after->status().conditions(0).reason(), "AutoApproved");
    }
    EXPECT_THAT(harness.Restless(), IsEmpty());
  }
}

TEST(NodeApproval, LeavesAnUnreadableRequestToPeople) {
  client::ReconcilerHarness harness(MakeNodeApprovalController(
      [](const std::string&) -> Result<RequestSubject> { return BadRequest("not PEM"); },
      MayRequest));
  harness.Put(Request(kNodeSigner, "system:node:n1|system:nodes", kUsages));
  harness.Settle();
  EXPECT_THAT(harness.client().writes(), IsEmpty());
}

void Decide(Csr* request, const char* type, WallTime when) {
  auto* condition = request->mutable_status()->add_conditions();
  condition->set_type(type);
  condition->set_status("True");
  condition->mutable_last_update_time()->set_seconds(
      std::chrono::floor<std::chrono::seconds>(when).time_since_epoch().count());
}

Result<std::string> SignAll(const std::string&, const std::vector<std::string>&,
                            Duration lifetime) {
  return "cert " +
         std::to_string(std::chrono::duration_cast<std::chrono::seconds>(lifetime).count());
}

constexpr char kClientSigner[] = "kubernetes.io/kube-apiserver-client";
constexpr char kServingSigner[] = "kubernetes.io/kubelet-serving";

TEST(Signing, SignsWhatIsApprovedForAsLongAsIsAsked) {
  struct {
    const char* signer;
    std::vector<const char*> decisions;
    int64_t expiration;
    const char* certificate;
  } rows[] = {
      {kNodeSigner, {"Approved"}, 0, "cert 31536000"},
      {kNodeSigner, {"Approved"}, 600, "cert 600"},
      {kNodeSigner, {"Approved"}, 999999999, "cert 31536000"},
      {kClientSigner, {"Approved"}, 0, "cert 31536000"},
      {"kubernetes.io/legacy-unknown", {"Approved"}, 0, "cert 31536000"},
      {"example.com/other", {"Approved"}, 0, ""},
      {kNodeSigner, {}, 0, ""},
      {kNodeSigner, {"Denied"}, 0, ""},
      {kNodeSigner, {"Approved", "Denied"}, 0, ""},
      {kNodeSigner, {"Approved", "Failed"}, 0, ""},
  };
  for (const auto& row : rows) {
    client::ReconcilerHarness harness(
        MakeSigningController(SignAll, [](const std::string&) -> Result<RequestSubject> {
          return RequestSubject{"system:node:n1", {"system:nodes"}, {}, {}, {}, {}};
        }));
    Csr request = Request(row.signer, "a|b", kUsages);
    if (row.expiration) request.mutable_spec()->set_expiration_seconds(row.expiration);
    for (const char* decision : row.decisions)
      Decide(&request, decision, harness.env().Now());
    harness.Put(std::move(request));
    harness.Settle();
    EXPECT_EQ(harness.client().Peek<Csr>("", "r")->status().certificate(), row.certificate)
        << row.signer;
    EXPECT_THAT(harness.Restless(), IsEmpty());
  }
}

TEST(Signing, SaysWhatASignerDoesNotAdmit) {
  const char* const kServing = "digital signature, server auth";
  const std::vector<std::string> nodes = {"system:nodes"}, one = {"x"};
  struct {
    const char* signer;
    const char* usages;
    RequestSubject subject;
    const char* message;  // empty: signed
  } rows[] = {
      {kClientSigner, "client auth", {"jane", {"people"}, {}, {}, {}, {}}, ""},
      {kClientSigner,
       "client auth, server auth",
       {"jane", {}, {}, {}, {}, {}},
       "invalid usage for client certificate: server auth"},
      {kClientSigner,
       "digital signature",
       {"jane", {}, {}, {}, {}, {}},
       "missing required usage for client certificate: client auth"},
      {kNodeSigner,
       kUsages,
       {"system:node:n1", {}, {}, {}, {}, {}},
       "subject organization is not system:nodes"},
      {kNodeSigner,
       kUsages,
       {"system:node:n1", nodes, one, {}, {}, {}},
       "DNS subjectAltNames are not allowed"},
      {kNodeSigner,
       kUsages,
       {"system:node:n1", nodes, {}, one, {}, {}},
       "IP subjectAltNames are not allowed"},
      {kNodeSigner,
       kUsages,
       {"system:node:n1", nodes, {}, {}, one, {}},
       "Email subjectAltNames are not allowed"},
      {kNodeSigner,
       kUsages,
       {"system:node:n1", nodes, {}, {}, {}, one},
       "URI subjectAltNames are not allowed"},
      {kNodeSigner,
       kUsages,
       {"n1", nodes, {}, {}, {}, {}},
       "subject common name does not begin with system:node:"},
      {kNodeSigner,
       "client auth",
       {"system:node:n1", nodes, {}, {}, {}, {}},
       "usages did not match [client auth digital signature key encipherment]"},
      {kServingSigner, kServing, {"system:node:n1", nodes, one, {}, {}, {}}, ""},
      {kServingSigner,
       "digital signature, key encipherment, server auth",
       {"system:node:n1", nodes, {}, one, {}, {}},
       ""},
      {kServingSigner,
       kServing,
       {"system:node:n1", nodes, {}, {}, {}, {}},
       "DNS or IP subjectAltName is required"},
      {kServingSigner,
       kUsages,
       {"system:node:n1", nodes, one, {}, {}, {}},
       "usages did not match [digital signature key encipherment server auth]"},
      {kServingSigner,
       kServing,
       {"n1", nodes, one, {}, {}, {}},
       "subject common name does not begin with system:node:"},
  };
  for (const auto& row : rows) {
    const RequestSubject subject = row.subject;
    client::ReconcilerHarness harness(MakeSigningController(
        SignAll, [subject](const std::string&) -> Result<RequestSubject> { return subject; }));
    Csr request = Request(row.signer, "a|b", row.usages);
    Decide(&request, "Approved", harness.env().Now());
    harness.Put(std::move(request));
    harness.Settle();
    auto after = harness.client().Peek<Csr>("", "r");
    EXPECT_EQ(after->status().certificate().empty(), *row.message != 0) << row.message;
    if (*row.message == 0) continue;
    ASSERT_EQ(after->status().conditions_size(), 2) << row.message;
    EXPECT_EQ(after->status().conditions(1).type(), "Failed");
    EXPECT_EQ(after->status().conditions(1).reason(), "SignerValidationFailure");
    EXPECT_EQ(after->status().conditions(1).message(), row.message);
    EXPECT_THAT(harness.Restless(), IsEmpty());
  }
}

TEST(Signing, TriesAgainWhenItCannotSign) {
  bool works = false;
  client::ReconcilerHarness harness(MakeSigningController(
      [&works](const std::string&, const std::vector<std::string>&, Duration) {
        return works ? Result<std::string>("cert") : Result<std::string>(InternalError("no key"));
      },
      [](const std::string&) -> Result<RequestSubject> { return RequestSubject(); }));
  Csr request = Request(kClientSigner, "a|b", kUsages);
  Decide(&request, "Approved", harness.env().Now());
  harness.Put(std::move(request));
  harness.Settle(3);
  EXPECT_EQ(harness.client().Peek<Csr>("", "r")->status().certificate(), "");
  works = true;
  harness.Advance(std::chrono::seconds(5));
  EXPECT_EQ(harness.client().Peek<Csr>("", "r")->status().certificate(), "cert");
}

TEST(RequestCleaner, ForgetsRequestsInTime) {
  struct {
    const char* decision;
    bool issued;
    hours kept, gone;
  } rows[] = {
      {"", false, hours(23), hours(25)},         {"Denied", false, hours(0), hours(2)},
      {"Failed", false, hours(0), hours(2)},     {"Approved", true, hours(0), hours(2)},
      {"Approved", false, hours(23), hours(25)},
  };
  for (const auto& row : rows) {
    for (const hours age : {row.kept, row.gone}) {
      client::ReconcilerHarness harness(MakeRequestCleaner());
      const WallTime then = harness.env().Now() - age;
      Csr request = Request(kNodeSigner, "a|b", kUsages);
      request.mutable_metadata()->mutable_creation_timestamp()->set_seconds(
          std::chrono::floor<std::chrono::seconds>(then).time_since_epoch().count());
      if (*row.decision) Decide(&request, row.decision, then);
      if (row.issued) request.mutable_status()->set_certificate("PEM");
      harness.Put(std::move(request));
      harness.Settle();
      EXPECT_EQ(bool(harness.client().Peek<Csr>("", "r")), age == row.kept) << row.decision;
    }
  }
}

}  // namespace
}  // namespace gantry::controllers

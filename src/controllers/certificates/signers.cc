#include "controllers/certificates/signers.h"

#include <set>
#include <string>

namespace gantry::controllers {
namespace {

using CertificateRequest = api::certificates::v1::CertificateSigningRequest;
using Usages = std::set<std::string>;

constexpr char kNodePrefix[] = "system:node:";
constexpr char kSigns[] = "digital signature";
constexpr char kEnciphers[] = "key encipherment";

Usages UsagesOf(const CertificateRequest& request) {
  return Usages(request.spec().usages().begin(), request.spec().usages().end());
}

// `purpose` and "digital signature"; RSA keys also encipher.
Status CheckUsages(const CertificateRequest& request, const std::string& purpose) {
  const Usages usages = UsagesOf(request), all = {purpose, kSigns, kEnciphers};
  if (usages == all || usages == Usages{purpose, kSigns}) return {};
  std::string list;
  for (const std::string& usage : all)
    list += (list.empty() ? "" : " ") + usage;
  return BadRequest("usages did not match [" + list + "]");
}

Status CheckNodesGroup(const RequestSubject& subject) {
  if (subject.organizations == std::vector<std::string>{"system:nodes"}) return {};
  return BadRequest("subject organization is not system:nodes");
}

Status CheckNodeName(const RequestSubject& subject) {
  if (subject.common_name.starts_with(kNodePrefix)) return {};
  return BadRequest("subject common name does not begin with system:node:");
}

Status CheckNodeServing(const RequestSubject& subject, const CertificateRequest& request) {
  GANTRY_TRY(CheckNodesGroup(subject));
  if (subject.dns_names.empty() && subject.addresses.empty())
    return BadRequest("DNS or IP subjectAltName is required");
  if (!subject.emails.empty()) return BadRequest("Email subjectAltNames are not allowed");
  if (!subject.uris.empty()) return BadRequest("URI subjectAltNames are not allowed");
  GANTRY_TRY(CheckUsages(request, "server auth"));
  return CheckNodeName(subject);
}

Status CheckClient(const RequestSubject&, const CertificateRequest& request) {
  const Usages usages = UsagesOf(request);
  for (const std::string& usage : request.spec().usages()) {
    if (usage != "client auth" && usage != kSigns && usage != kEnciphers)
      return BadRequest("invalid usage for client certificate: " + usage);
  }
  if (usages.contains("client auth")) return {};
  return BadRequest("missing required usage for client certificate: client auth");
}

Status CheckNothing(const RequestSubject&, const CertificateRequest&) { return {}; }

constexpr SignerRule kSigners[] = {
    {"kubernetes.io/kube-apiserver-client", CheckClient},
    {kNodeClientSigner, CheckNodeClient},
    {"kubernetes.io/kubelet-serving", CheckNodeServing},
    {"kubernetes.io/legacy-unknown", CheckNothing},
};

}  // namespace

Status CheckNodeClient(const RequestSubject& subject, const CertificateRequest& request) {
  GANTRY_TRY(CheckNodesGroup(subject));
  if (!subject.dns_names.empty()) return BadRequest("DNS subjectAltNames are not allowed");
  if (!subject.emails.empty()) return BadRequest("Email subjectAltNames are not allowed");
  if (!subject.addresses.empty()) return BadRequest("IP subjectAltNames are not allowed");
  if (!subject.uris.empty()) return BadRequest("URI subjectAltNames are not allowed");
  GANTRY_TRY(CheckNodeName(subject));
  return CheckUsages(request, "client auth");
}

const SignerRule* FindSigner(std::string_view name) {
  for (const SignerRule& rule : kSigners) {
    if (rule.name == name) return &rule;
  }
  return nullptr;
}

}  // namespace gantry::controllers

#include "apiserver/pki/certificates.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <ctime>
#include <span>
#include <utility>

#include "apiserver/pki/openssl_util.h"

namespace gantry::apiserver::pki {
using namespace internal;

namespace {

constexpr Duration kAuthorityLifetime = std::chrono::hours(24 * 3650);
// Clocks of other machines may be behind.
constexpr Duration kBackdate = std::chrono::minutes(5);

struct Usage {
  std::string_view name;      // certificates.k8s.io/v1
  std::string_view key_bit;   // of keyUsage; empty: none
  std::string_view extended;  // of extendedKeyUsage; empty: none
};
constexpr Usage kUsages[] = {
    {"signing", "digitalSignature", ""},
    {"digital signature", "digitalSignature", ""},
    {"content commitment", "nonRepudiation", ""},
    {"key encipherment", "keyEncipherment", ""},
    {"key agreement", "keyAgreement", ""},
    {"data encipherment", "dataEncipherment", ""},
    {"cert sign", "keyCertSign", ""},
    {"crl sign", "cRLSign", ""},
    {"encipher only", "encipherOnly", ""},
    {"decipher only", "decipherOnly", ""},
    {"any", "", "anyExtendedKeyUsage"},
    {"server auth", "", "serverAuth"},
    {"client auth", "", "clientAuth"},
    {"code signing", "", "codeSigning"},
    {"email protection", "", "emailProtection"},
    {"s/mime", "", "emailProtection"},
    {"timestamping", "", "timeStamping"},
    {"ocsp signing", "", "OCSPSigning"},
};

bool IsAddress(const std::string& name) {
  unsigned char buffer[16];
  return inet_pton(AF_INET, name.c_str(), buffer) == 1 ||
         inet_pton(AF_INET6, name.c_str(), buffer) == 1;
}

Status AddName(X509_NAME* subject, const char* field, const std::string& value) {
  if (X509_NAME_add_entry_by_txt(subject, field, MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(value.data()),
                                 static_cast<int>(value.size()), -1, 0) != 1) {
    return Failure("certificate subject");
  }
  return Status::Ok();
}

Status SetSubject(X509_NAME* subject, const std::string& common_name,
                  const std::vector<std::string>& organizations) {
  for (const std::string& organization : organizations)
    GANTRY_TRY(AddName(subject, "O", organization));
  return AddName(subject, "CN", common_name);
}

// "DNS:a, IP:1.2.3.4" would let a name with a comma add others, so the list is built from its
// parts.
GENERAL_NAMES* AlternativeNames(const std::vector<std::string>& names) {
  GENERAL_NAMES* list = GENERAL_NAMES_new();
  for (const std::string& name : names) {
    GENERAL_NAME* entry = GENERAL_NAME_new();
    if (IsAddress(name)) {
      GENERAL_NAME_set0_value(entry, GEN_IPADD, a2i_IPADDRESS(name.c_str()));
    } else {
      ASN1_IA5STRING* text = ASN1_IA5STRING_new();
      ASN1_STRING_set(text, name.data(), static_cast<int>(name.size()));
      GENERAL_NAME_set0_value(entry, GEN_DNS, text);
    }
    sk_GENERAL_NAME_push(list, entry);
  }
  return list;
}

Status AddExtension(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  if (!extension) return Failure("certificate extension");
  const int added = X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
  return added == 1 ? Status::Ok() : Failure("certificate extension");
}

Status SetSerial(Env& env, X509* certificate) {
  std::array<uint8_t, 16> bytes{};
  env.RandomBytes(bytes);
  bytes[0] = static_cast<uint8_t>((bytes[0] & 0x7f) | 0x40);  // positive and of full length
  BIGNUM* number = BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr);
  const bool set = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
  BN_free(number);
  return set ? Status::Ok() : Failure("certificate serial number");
}

int64_t Seconds(WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

WallTime TimeOf(const ASN1_TIME* time) {
  tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
  return WallTime(std::chrono::seconds(timegm(&parts)));
}

// A certificate with serial, times, key and issuer set.
Result<X509Ptr> Begin(Env& env, EVP_PKEY* subject_key, X509* issuer, Duration lifetime) {
  X509Ptr certificate(X509_new());
  if (!certificate || X509_set_version(certificate.get(), X509_VERSION_3) != 1)
    return Failure("certificate");
  GANTRY_TRY(SetSerial(env, certificate.get()));
  const WallTime now = env.Now();
  int64_t end = Seconds(now + lifetime);
  if (issuer) end = std::min(end, Seconds(TimeOf(X509_get0_notAfter(issuer))));
  ASN1_TIME_set(X509_getm_notBefore(certificate.get()), Seconds(now - kBackdate));
  ASN1_TIME_set(X509_getm_notAfter(certificate.get()), end);
  if (X509_set_pubkey(certificate.get(), subject_key) != 1) return Failure("certificate key");
  return certificate;
}

Status Sign(X509* certificate, X509* issuer, EVP_PKEY* issuer_key) {
  if (X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) != 1)
    return Failure("certificate issuer");
  GANTRY_TRY(AddExtension(certificate, issuer, NID_subject_key_identifier, "hash"));
  GANTRY_TRY(AddExtension(certificate, issuer, NID_authority_key_identifier, "keyid"));
  if (X509_sign(certificate, issuer_key, EVP_sha256()) == 0) return Failure("sign certificate");
  return Status::Ok();
}

Result<std::string> PemOf(X509* certificate) {
  BioPtr bio = WriteBio();
  if (PEM_write_bio_X509(bio.get(), certificate) != 1) return Failure("certificate");
  return TextOf(bio.get());
}

Result<X509Ptr> ReadCertificate(std::string_view pem) {
  ERR_clear_error();
  BioPtr bio = ReadBio(pem);
  X509Ptr certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (!certificate) return Failure("certificate");
  return certificate;
}

Result<RequestPtr> ReadRequest(std::string_view pem) {
  ERR_clear_error();
  BioPtr bio = ReadBio(pem);
  RequestPtr request(PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr));
  if (!request) return Failure("PEM block type must be CERTIFICATE REQUEST");
  EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
  if (!key || X509_REQ_verify(request.get(), key) != 1)
    return Failure("certificate request signature");
  return request;
}

std::string PinOf(EVP_PKEY* key) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out = "sha256:";
  for (char c : Sha256(PublicDer(key))) {
    const auto byte = static_cast<unsigned char>(c);
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out;
}

std::string Utf8(const ASN1_STRING* text) {
  unsigned char* utf8 = nullptr;
  const int length = ASN1_STRING_to_UTF8(&utf8, text);
  if (length < 0) return {};
  std::string out(reinterpret_cast<char*>(utf8), static_cast<size_t>(length));
  OPENSSL_free(utf8);
  return out;
}

void ReadSubject(const X509_NAME* subject, std::string* common_name,
                 std::vector<std::string>* organizations) {
  for (int i = 0; i < X509_NAME_entry_count(subject); ++i) {
    const X509_NAME_ENTRY* entry = X509_NAME_get_entry(subject, i);
    const int kind = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
    if (kind == NID_commonName) *common_name = Utf8(X509_NAME_ENTRY_get_data(entry));
    if (kind == NID_organizationName)
      organizations->push_back(Utf8(X509_NAME_ENTRY_get_data(entry)));
  }
}

Status AddUsages(X509* certificate, X509* issuer, std::span<const std::string> usages) {
  std::string bits = "critical", extended;
  bool any_bits = false;
  for (const std::string& wanted : usages) {
    const auto* usage = std::find_if(std::begin(kUsages), std::end(kUsages),
                                     [&](const Usage& row) { return row.name == wanted; });
    if (usage == std::end(kUsages)) return BadRequest("unrecognized usage \"" + wanted + "\"");
    if (!usage->key_bit.empty()) {
      bits += "," + std::string(usage->key_bit);
      any_bits = true;
    }
    if (!usage->extended.empty())
      extended += (extended.empty() ? "" : ",") + std::string(usage->extended);
  }
  if (any_bits) GANTRY_TRY(AddExtension(certificate, issuer, NID_key_usage, bits));
  if (!extended.empty()) GANTRY_TRY(AddExtension(certificate, issuer, NID_ext_key_usage, extended));
  return AddExtension(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE");
}

// A leaf for a key of our own making.
Result<KeyPair> Issue(Env& env, const KeyPair& authority, const Key& authority_key,
                      const std::string& common_name, const std::vector<std::string>& organizations,
                      const std::vector<std::string>& names, std::span<const std::string> usages,
                      Duration lifetime) {
  GANTRY_ASSIGN(X509Ptr issuer, ReadCertificate(authority.certificate_pem));
  GANTRY_ASSIGN(Key key, Key::Generate());
  GANTRY_ASSIGN(X509Ptr certificate, Begin(env, key.native(), issuer.get(), lifetime));
  GANTRY_TRY(SetSubject(X509_get_subject_name(certificate.get()), common_name, organizations));
  GANTRY_TRY(AddUsages(certificate.get(), issuer.get(), usages));
  if (!names.empty()) {
    GENERAL_NAMES* list = AlternativeNames(names);
    const int added = X509_add1_ext_i2d(certificate.get(), NID_subject_alt_name, list, 0, 0);
    GENERAL_NAMES_free(list);
    if (added != 1) return Failure("certificate names");
  }
  GANTRY_TRY(Sign(certificate.get(), issuer.get(), authority_key.native()));
  KeyPair pair;
  GANTRY_ASSIGN(pair.certificate_pem, PemOf(certificate.get()));
  GANTRY_ASSIGN(pair.private_key_pem, key.PrivatePem());
  return pair;
}

}  // namespace

Result<Authority> Authority::Create(Env& env, std::string common_name) {
  GANTRY_ASSIGN(Key key, Key::Generate());
  GANTRY_ASSIGN(X509Ptr certificate, Begin(env, key.native(), nullptr, kAuthorityLifetime));
  GANTRY_TRY(SetSubject(X509_get_subject_name(certificate.get()), common_name, {}));
  GANTRY_TRY(AddExtension(certificate.get(), certificate.get(), NID_basic_constraints,
                          "critical,CA:TRUE"));
  GANTRY_TRY(AddExtension(certificate.get(), certificate.get(), NID_key_usage,
                          "critical,digitalSignature,keyEncipherment,keyCertSign"));
  if (X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate.get())) != 1) {
    return Failure("certificate issuer");
  }
  GANTRY_TRY(
      AddExtension(certificate.get(), certificate.get(), NID_subject_key_identifier, "hash"));
  if (X509_sign(certificate.get(), key.native(), EVP_sha256()) == 0)
    return Failure("sign certificate");
  KeyPair pair;
  GANTRY_ASSIGN(pair.certificate_pem, PemOf(certificate.get()));
  GANTRY_ASSIGN(pair.private_key_pem, key.PrivatePem());
  return Authority(std::move(pair), std::move(key));
}

Result<Authority> Authority::Load(const KeyPair& pair) {
  GANTRY_ASSIGN(X509Ptr certificate, ReadCertificate(pair.certificate_pem));
  GANTRY_ASSIGN(Key key, Key::FromPrivatePem(pair.private_key_pem));
  if (X509_check_private_key(certificate.get(), key.native()) != 1) {
    ERR_clear_error();
    return BadRequest("certificate authority: the private key does not belong to the certificate");
  }
  return Authority(pair, std::move(key));
}

std::string Authority::PublicKeyPin() const { return PinOf(key_.native()); }

Result<KeyPair> Authority::IssueServer(Env& env, std::string common_name,
                                       std::vector<std::string> names, Duration lifetime) const {
  const std::array<std::string, 3> usages = {"digital signature", "key encipherment",
                                             "server auth"};
  return Issue(env, pair_, key_, common_name, {}, names, usages, lifetime);
}

Result<KeyPair> Authority::IssueClient(Env& env, std::string user, std::vector<std::string> groups,
                                       Duration lifetime) const {
  const std::array<std::string, 3> usages = {"digital signature", "key encipherment",
                                             "client auth"};
  return Issue(env, pair_, key_, user, groups, {}, usages, lifetime);
}

Result<std::string> Authority::SignRequest(Env& env, std::string_view request_pem,
                                           const std::vector<std::string>& usages,
                                           Duration lifetime) const {
  GANTRY_ASSIGN(RequestPtr request, ReadRequest(request_pem));
  GANTRY_ASSIGN(X509Ptr issuer, ReadCertificate(pair_.certificate_pem));
  GANTRY_ASSIGN(X509Ptr certificate,
                Begin(env, X509_REQ_get0_pubkey(request.get()), issuer.get(), lifetime));
  if (X509_set_subject_name(certificate.get(), X509_REQ_get_subject_name(request.get())) != 1) {
    return Failure("certificate subject");
  }
  GANTRY_TRY(AddUsages(certificate.get(), issuer.get(), usages));
  STACK_OF(X509_EXTENSION)* wanted = X509_REQ_get_extensions(request.get());
  const int at = X509v3_get_ext_by_NID(wanted, NID_subject_alt_name, -1);
  const bool added = at < 0 || X509_add_ext(certificate.get(), X509v3_get_ext(wanted, at), -1) == 1;
  sk_X509_EXTENSION_pop_free(wanted, X509_EXTENSION_free);
  if (!added) return Failure("certificate names");
  GANTRY_TRY(Sign(certificate.get(), issuer.get(), key_.native()));
  return PemOf(certificate.get());
}

Result<RequestInfo> ParseRequest(std::string_view request_pem) {
  GANTRY_ASSIGN(RequestPtr request, ReadRequest(request_pem));
  RequestInfo info;
  ReadSubject(X509_REQ_get_subject_name(request.get()), &info.common_name, &info.organizations);
  STACK_OF(X509_EXTENSION)* extensions = X509_REQ_get_extensions(request.get());
  auto* names = static_cast<GENERAL_NAMES*>(
      X509V3_get_d2i(extensions, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type == GEN_DNS) info.dns_names.push_back(Utf8(name->d.dNSName));
    if (name->type == GEN_EMAIL) info.emails.push_back(Utf8(name->d.rfc822Name));
    if (name->type == GEN_URI) info.uris.push_back(Utf8(name->d.uniformResourceIdentifier));
    if (name->type == GEN_IPADD) {
      char text[INET6_ADDRSTRLEN] = "";
      const int family = ASN1_STRING_length(name->d.iPAddress) == 16 ? AF_INET6 : AF_INET;
      inet_ntop(family, ASN1_STRING_get0_data(name->d.iPAddress), text, sizeof text);
      info.addresses.emplace_back(text);
    }
  }
  GENERAL_NAMES_free(names);
  sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
  return info;
}

Result<std::string> MakeRequest(const Key& key, const std::string& common_name,
                                const std::vector<std::string>& organizations,
                                const std::vector<std::string>& names) {
  ERR_clear_error();
  RequestPtr request(X509_REQ_new());
  GANTRY_TRY(SetSubject(X509_REQ_get_subject_name(request.get()), common_name, organizations));
  if (X509_REQ_set_pubkey(request.get(), key.native()) != 1) return Failure("certificate request");
  if (!names.empty()) {
    GENERAL_NAMES* list = AlternativeNames(names);
    STACK_OF(X509_EXTENSION)* extensions = nullptr;
    X509V3_add1_i2d(&extensions, NID_subject_alt_name, list, 0, 0);
    X509_REQ_add_extensions(request.get(), extensions);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    GENERAL_NAMES_free(list);
  }
  if (X509_REQ_sign(request.get(), key.native(), EVP_sha256()) == 0)
    return Failure("certificate request");
  BioPtr bio = WriteBio();
  PEM_write_bio_X509_REQ(bio.get(), request.get());
  return TextOf(bio.get());
}

Result<CertificateInfo> ParseCertificate(std::string_view certificate_pem) {
  GANTRY_ASSIGN(X509Ptr certificate, ReadCertificate(certificate_pem));
  CertificateInfo info;
  ReadSubject(X509_get_subject_name(certificate.get()), &info.common_name, &info.organizations);
  info.not_before = TimeOf(X509_get0_notBefore(certificate.get()));
  info.not_after = TimeOf(X509_get0_notAfter(certificate.get()));
  info.public_key_pin = PinOf(X509_get0_pubkey(certificate.get()));
  return info;
}

}  // namespace gantry::apiserver::pki

#include "cli/cluster_keys.h"

#include <optional>

#include "api/json_value.h"
#include "apiserver/pki/certificates.h"
#include "base/env/notifier.h"
#include "base/log.h"
#include "cli/join_token.h"
#include "cli/sealed_box.h"
#include "store/etcd/layout.h"
#include "store/etcd/single_key.h"

namespace gantry::cli {
namespace {

namespace pki = apiserver::pki;

constexpr Duration kRetry = std::chrono::seconds(1);

// The shared files, by their names under the data directory.
constexpr const char* kFiles[] = {"pki/ca.crt", "pki/ca.key", "pki/service-account.key"};

using Files = std::map<std::string, std::string>;

Result<Files> ReadFiles(const DataDir& dir) {
  Files files;
  for (const char* name : kFiles) {
    Result<std::string> content = dir.Read(name);
    if (content.ok()) files[name] = std::move(content).value();
    if (!content.ok() && content.code() != Code::kNotFound) return content.status();
  }
  return files;
}

// Keys before certificates: a certificate that is there has its key.
Status WriteFiles(const DataDir& dir, const Files& files) {
  for (const char* name : {"pki/ca.key", "pki/service-account.key", "pki/ca.crt"}) {
    Result<std::string> there = dir.Read(name);
    if (there.ok() && *there == files.at(name)) continue;
    GANTRY_TRY(dir.Write(name, files.at(name)));
  }
  return Status::Ok();
}

Status FillMissing(Env& env, Files* files) {
  if (!files->contains("pki/ca.crt") || !files->contains("pki/ca.key")) {
    GANTRY_ASSIGN(pki::Authority made, pki::Authority::Create(env, "gantry-ca"));
    (*files)["pki/ca.crt"] = made.pair().certificate_pem;
    (*files)["pki/ca.key"] = made.pair().private_key_pem;
  }
  if (!files->contains("pki/service-account.key")) {
    GANTRY_ASSIGN(pki::Key key, pki::Key::Generate());
    GANTRY_ASSIGN((*files)["pki/service-account.key"], key.PrivatePem());
  }
  return Status::Ok();
}

std::string ToText(const Files& files, const ClusterSettings& settings) {
  api::JsonValue text = api::JsonValue::MakeObject();
  for (const auto& [part, values] :
       {std::pair("files", &files), std::pair("settings", &settings)}) {
    api::JsonValue object = api::JsonValue::MakeObject();
    for (const auto& [name, value] : *values)
      object[name] = value;
    text[part] = std::move(object);
  }
  return text.ToString();
}

Result<std::map<std::string, std::string>> PartOf(const std::string& text, const char* part) {
  GANTRY_ASSIGN(const api::JsonValue document, api::JsonValue::Parse(text));
  std::map<std::string, std::string> values;
  const api::JsonValue* object = document.Find(part);
  if (object == nullptr || !object->is_object())
    return DataLoss("the keys of the cluster in etcd do not decode");
  for (const auto& [name, value] : object->as_object()) {
    if (value.is_string()) values[std::string(name)] = value.as_string();
  }
  return values;
}

// Takes over what is in etcd.
Status Adopt(const DataDir& dir, const std::optional<JoinToken>& token, const std::string& sealed,
             const Files& local, const ClusterSettings& settings) {
  if (!token) {
    return Status(Code::kForbidden,
                  "there is a cluster in this etcd already; give its token (--token), which stands "
                  "in DIR/token of its servers");
  }
  Result<std::string> opened = Unseal(token->secret, sealed);
  if (opened.code() == Code::kForbidden) {
    return Status(Code::kForbidden,
                  "the token is not the one of the cluster in this etcd; give the one that stands "
                  "in DIR/token of its servers");
  }
  if (!opened.ok()) return opened.status();
  GANTRY_ASSIGN(const Files files, PartOf(*opened, "files"));
  for (const char* name : kFiles) {
    if (!files.contains(name)) return DataLoss("the keys of the cluster in etcd are incomplete");
  }
  GANTRY_ASSIGN(const pki::CertificateInfo ca, pki::ParseCertificate(files.at("pki/ca.crt")));
  if (!token->ca_pin.empty() && token->ca_pin != ca.public_key_pin) {
    return Status(Code::kForbidden,
                  "the token names another certificate authority than that of the cluster in this "
                  "etcd");
  }
  if (auto own = local.find("pki/ca.crt");
      own != local.end() && own->second != files.at("pki/ca.crt")) {
    return Status(Code::kConflict, "the data directory " + dir.path() +
                                       " belongs to another cluster than this etcd; choose another "
                                       "with --data-dir");
  }
  GANTRY_ASSIGN(const ClusterSettings theirs, PartOf(*opened, "settings"));
  GANTRY_TRY(CheckSettings(settings, theirs));
  return WriteFiles(dir, files);
}

// True: done. False: another server has just put its keys there.
Task<Result<bool>> Offer(Env& env, const DataDir& dir, store::EtcdOptions etcd,
                         std::optional<JoinToken> token, Files files, ClusterSettings settings) {
  GANTRY_CO_TRY(FillMissing(env, &files));
  if (!token) {
    token.emplace();
    token->id = RandomNameSuffix(env, 6);
    token->secret = RandomNameSuffix(env, 16);
  }
  GANTRY_CO_ASSIGN(const std::string sealed, Seal(env, token->secret, ToText(files, settings)));
  GANTRY_CO_ASSIGN(const std::string there,
                   co_await store::EnsureEtcdKey(env, std::move(etcd),
                                                 std::string(store::etcd::kBootstrapKey), sealed));
  if (there != sealed) co_return false;
  GANTRY_CO_TRY(WriteFiles(dir, files));
  // The pin is added with the other credentials.
  GANTRY_CO_TRY(dir.Write("token", token->ToString() + "\n"));
  co_return true;
}

Task<Status> TryToShare(Env& env, const DataDir& dir, store::EtcdOptions etcd,
                        std::optional<JoinToken> token, ClusterSettings settings) {
  GANTRY_CO_ASSIGN(const Files local, ReadFiles(dir));
  while (true) {
    GANTRY_CO_ASSIGN(
        const std::optional<std::string> sealed,
        co_await store::ReadEtcdKey(env, etcd, std::string(store::etcd::kBootstrapKey)));
    if (sealed) co_return Adopt(dir, token, *sealed, local, settings);
    GANTRY_CO_ASSIGN(const bool done, co_await Offer(env, dir, etcd, token, local, settings));
    if (done) co_return Status::Ok();
  }
}

}  // namespace

Status CheckSettings(const ClusterSettings& ours, const ClusterSettings& theirs) {
  for (const auto& [name, value] : ours) {
    auto there = theirs.find(name);
    if (there == theirs.end() || there->second == value) continue;
    return Status(Code::kInvalid, "--" + name + " is " + value + " here, but " + there->second +
                                      " in this cluster; all servers need the same");
  }
  return Status::Ok();
}

Task<Status> ShareClusterKeys(Env& env, const DataDir& dir, store::EtcdOptions etcd,
                              std::string wanted, ClusterSettings settings) {
  std::optional<JoinToken> token;
  Result<std::string> kept = dir.Read("token");
  if (!kept.ok() && kept.code() != Code::kNotFound) co_return kept.status();
  if (!wanted.empty() || kept.ok()) {
    GANTRY_CO_ASSIGN(token, JoinToken::Parse(wanted.empty() ? *kept : wanted));
  }
  while (true) {
    Status shared = co_await TryToShare(env, dir, etcd, token, settings);
    if (shared.code() != Code::kUnavailable && shared.code() != Code::kUnknown) co_return shared;
    log::Warning("server", "waiting for etcd", {{"store", etcd.url}, {"error", shared.message()}});
    co_await SleepFor(env, kRetry);
  }
}

Task<Status> ReplaceClusterKeys(Env& env, const DataDir& dir, store::EtcdOptions etcd) {
  GANTRY_CO_TRY(co_await store::RemoveEtcdKey(env, etcd, std::string(store::etcd::kBootstrapKey)));
  co_return co_await ShareClusterKeys(env, dir, etcd, std::string(), ClusterSettings());
}

}  // namespace gantry::cli

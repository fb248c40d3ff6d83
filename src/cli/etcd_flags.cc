#include "cli/etcd_flags.h"

#include <CLI/CLI.hpp>

#include <fstream>
#include <iterator>

#include "cli/machine_options.h"

namespace gantry::cli {
namespace {

Status ReadInto(const std::string& file, std::string* content) {
  if (file.empty()) return Status::Ok();
  std::ifstream in(file, std::ios::binary);
  content->assign(std::istreambuf_iterator<char>(in), {});
  if (!in || content->empty()) return BadRequest("cannot read " + file);
  return Status::Ok();
}

}  // namespace

void AddEtcdFlags(CLI::App& command, EtcdFlags* flags) {
  AddTextFlag(command, "--etcd-cafile", "FILE", &flags->etcd_cafile,
              "Certificates of the authorities that etcd's is checked against");
  AddTextFlag(command, "--etcd-certfile", "FILE", &flags->etcd_certfile,
              "Certificate that is shown to etcd");
  AddTextFlag(command, "--etcd-keyfile", "FILE", &flags->etcd_keyfile, "Its private key");
}

Result<store::EtcdOptions> EtcdOptionsOf(const EtcdFlags& flags) {
  if (!store::IsEtcdUrl(flags.store)) {
    return BadRequest("--store " + flags.store +
                      " is not supported; sqlite and etcd://HOST:PORT,... are");
  }
  if (flags.etcd_certfile.empty() != flags.etcd_keyfile.empty())
    return BadRequest("--etcd-certfile and --etcd-keyfile are given together");
  store::EtcdOptions options;
  options.url = flags.store;
  options.tls = !flags.etcd_cafile.empty() || !flags.etcd_certfile.empty();
  GANTRY_TRY(ReadInto(flags.etcd_cafile, &options.ca_pem));
  GANTRY_TRY(ReadInto(flags.etcd_certfile, &options.certificate_pem));
  GANTRY_TRY(ReadInto(flags.etcd_keyfile, &options.private_key_pem));
  return options;
}

}  // namespace gantry::cli

#include "cli/key_files.h"

#include <utility>

namespace gantry::cli {

using apiserver::pki::KeyPair;

Result<KeyPair> ReadKeyPair(const DataDir& dir, const std::string& name) {
  GANTRY_ASSIGN(std::string certificate, dir.Read(name + ".crt"));
  GANTRY_ASSIGN(std::string key, dir.Read(name + ".key"));
  return KeyPair{std::move(certificate), std::move(key)};
}

Status WriteKeyPair(const DataDir& dir, const std::string& name, const KeyPair& pair) {
  GANTRY_TRY(dir.Write(name + ".key", pair.private_key_pem));
  return dir.Write(name + ".crt", pair.certificate_pem);
}

}  // namespace gantry::cli

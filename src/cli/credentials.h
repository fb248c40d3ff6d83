#pragma once

#include <string>
#include <vector>

#include "apiserver/pki/certificates.h"
#include "apiserver/pki/keys.h"
#include "base/env/env.h"
#include "base/status.h"
#include "cli/data_dir.h"
#include "cli/join_token.h"

namespace gantry::cli {

// The keys and certificates of a server, as they stand under DIR/pki.
struct Credentials {
  apiserver::pki::Authority authority;
  apiserver::pki::KeyPair server;
  apiserver::pki::KeyPair admin;  // system:masters
  apiserver::pki::Key service_account_key;
  JoinToken join_token;

  // Reads them, making what is missing. The server's certificate is issued anew when it does not
  // name all of `server_names` (addresses and DNS names) or ends within 30 days.
  // `join_token`: the token to use from now on; empty: the one that is kept.
  static Result<Credentials> LoadOrCreate(Env& env, const DataDir& dir,
                                          const std::vector<std::string>& server_names,
                                          const std::string& join_token);
};

// A kubeconfig with the credentials in it.
std::string KubeconfigText(const std::string& server_url, const std::string& ca_pem,
                           const apiserver::pki::KeyPair& client, const std::string& user_name);

}  // namespace gantry::cli

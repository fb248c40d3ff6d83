#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace gantry::client {

// What a kubeconfig file says, as far as it is about reaching an API server. Threading: a value.
struct Kubeconfig {
  // Of every ..._data field this is the decoded text (PEM); a file that is named instead has been
  // read into it.
  struct Cluster {
    std::string name;
    std::string server;
    std::string certificate_authority;
    bool insecure_skip_tls_verify = false;
    std::string tls_server_name;
  };
  struct User {
    std::string name;
    std::string client_certificate;
    std::string client_key;
    std::string token;
    std::string username, password;
  };
  struct Context {
    std::string name;
    std::string cluster;
    std::string user;
    std::string ns;  // empty: "default"
  };

  std::vector<Cluster> clusters;
  std::vector<User> users;
  std::vector<Context> contexts;
  std::string current_context;

  // One of each, all with the name `name`.
  static Kubeconfig Single(std::string name, Cluster cluster, User user);

  // Null where there is none.
  const Cluster* FindCluster(std::string_view name) const;
  const User* FindUser(std::string_view name) const;
  const Context* FindContext(std::string_view name) const;

  // Adds what `other` has and this one has not, as kubectl merges the files of $KUBECONFIG: the
  // first wins.
  void MergeFrom(const Kubeconfig& other);
};

// YAML or JSON. `folder` is where relative file names in it start. kBadRequest, worded for a user,
// when it is malformed; what FromErrno says when a file that it names cannot be read. Users with
// exec or auth-provider plug-ins are refused only when they are asked for: they come without
// credentials.
Result<Kubeconfig> ParseKubeconfig(std::string_view text, const std::string& folder);
// Blocks. The error names the file.
Result<Kubeconfig> ReadKubeconfig(const std::string& path);

// As kubectl config view --raw writes it, keys in YAML, credentials inline.
std::string WriteKubeconfig(const Kubeconfig& config);
// Puts it in place at once and readable by its owner only. Blocks.
Status SaveKubeconfig(const Kubeconfig& config, const std::string& path);

}  // namespace gantry::client

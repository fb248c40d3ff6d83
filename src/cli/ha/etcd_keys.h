#pragma once

#include <string>
#include <vector>

#include "apiserver/pki/certificates.h"
#include "base/env/env.h"
#include "base/status.h"
#include "cli/data_dir.h"
#include "store/etcd/etcd_store.h"

namespace gantry::cli {

// The keys of the servers' own etcd, below DIR/etcd: an authority of its own (ca), which all
// servers have and nobody else trusts; this member's certificate (member), and that with which
// servers come to any member (client). They end with the authority, after ten years.

// A new authority; for the first server.
Status MakeEtcdAuthority(Env& env, const DataDir& dir);
// That of the other members.
Status KeepEtcdAuthority(const DataDir& dir, const apiserver::pki::KeyPair& authority);
Result<apiserver::pki::KeyPair> ReadEtcdAuthority(const DataDir& dir);

// The two certificates where they are missing, or do not name all of `names` (addresses and DNS
// names).
Status IssueEtcdCertificates(Env& env, const DataDir& dir, const std::vector<std::string>& names);

// How to come to members, without saying where they are. Of a data directory that may be another
// process'.
Result<store::EtcdOptions> EtcdAccess(const std::string& data_dir);

}  // namespace gantry::cli

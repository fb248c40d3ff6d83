#pragma once

#include <string>

#include "apiserver/pki/certificates.h"
#include "base/status.h"
#include "cli/data_dir.h"

namespace gantry::cli {

// A certificate and its key in the data directory, as NAME.crt and NAME.key ("pki/server").
// kNotFound where one of them is missing.
Result<apiserver::pki::KeyPair> ReadKeyPair(const DataDir& dir, const std::string& name);
// The key goes first: a certificate that is there has its key.
Status WriteKeyPair(const DataDir& dir, const std::string& name,
                    const apiserver::pki::KeyPair& pair);

}  // namespace gantry::cli

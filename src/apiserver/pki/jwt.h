#pragma once

#include <span>
#include <string>
#include <string_view>

#include "apiserver/pki/keys.h"
#include "base/status.h"

namespace gantry::apiserver::pki {

// A signed JSON Web Token of these claims (one JSON object), with the key's Id() as `kid`: RS256
// for RSA keys, ES256 for ECDSA keys.
Result<std::string> SignJwt(const Key& key, std::string_view claims_json);

// The claims of a token that one of `keys` has signed; kUnauthorized otherwise. Only the signature
// is checked: times, issuer and audience are the caller's matter. The algorithm is that of the key,
// whatever the token's header says.
Result<std::string> VerifyJwt(std::span<const Key> keys, std::string_view token);

// The claims without any check, to choose who should verify it; kUnauthorized when it is no JWT.
Result<std::string> PeekJwt(std::string_view token);

// The public halves as a JSON Web Key Set, for /openid/v1/jwks.
std::string JwkSet(std::span<const Key> keys);

}  // namespace gantry::apiserver::pki

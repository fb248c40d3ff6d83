#include "apiserver/pki/jwt.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <simdjson.h>

#include <utility>

#include "apiserver/pki/openssl_util.h"

namespace gantry::apiserver::pki {
using namespace internal;

namespace {

constexpr size_t kMaxTokenBytes = 64 * 1024;
constexpr int kP256Bytes = 32;

std::string_view AlgorithmOf(const Key& key) {
  return key.type() == KeyType::kRsa2048 ? "RS256" : "ES256";
}

// OpenSSL speaks DER; JOSE wants both numbers side by side.
std::string RawSignature(std::string_view der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  ECDSA_SIG* signature = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size()));
  if (!signature) return {};
  std::string out(2 * kP256Bytes, '\0');
  auto* bytes = reinterpret_cast<unsigned char*>(out.data());
  BN_bn2binpad(ECDSA_SIG_get0_r(signature), bytes, kP256Bytes);
  BN_bn2binpad(ECDSA_SIG_get0_s(signature), bytes + kP256Bytes, kP256Bytes);
  ECDSA_SIG_free(signature);
  return out;
}

std::string DerSignature(std::string_view raw) {
  if (raw.size() != 2 * kP256Bytes) return {};
  const auto* bytes = reinterpret_cast<const unsigned char*>(raw.data());
  ECDSA_SIG* signature = ECDSA_SIG_new();
  ECDSA_SIG_set0(signature, BN_bin2bn(bytes, kP256Bytes, nullptr),
                 BN_bin2bn(bytes + kP256Bytes, kP256Bytes, nullptr));
  unsigned char* der = nullptr;
  const int length = i2d_ECDSA_SIG(signature, &der);
  ECDSA_SIG_free(signature);
  if (length <= 0) return {};
  std::string out(reinterpret_cast<char*>(der), static_cast<size_t>(length));
  OPENSSL_free(der);
  return out;
}

struct TokenParts {
  std::string_view signed_text;  // header.claims
  std::string algorithm;
  std::string key_id;
  std::string claims;
  std::string signature;
};

Status NotAToken() { return Status(Code::kUnauthorized, "not a JSON Web Token"); }

Result<TokenParts> Split(std::string_view token) {
  if (token.size() > kMaxTokenBytes) return NotAToken();
  const size_t first = token.find('.');
  const size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos)
    return NotAToken();
  TokenParts parts;
  std::string header;
  if (!FromBase64Url(token.substr(0, first), &header) ||
      !FromBase64Url(token.substr(first + 1, second - first - 1), &parts.claims) ||
      !FromBase64Url(token.substr(second + 1), &parts.signature)) {
    return NotAToken();
  }
  parts.signed_text = token.substr(0, second);
  simdjson::dom::parser parser;
  simdjson::dom::object fields;
  if (parser.parse(header).get(fields) != simdjson::SUCCESS) return NotAToken();
  std::string_view text;
  if (fields["alg"].get(text) == simdjson::SUCCESS) parts.algorithm = text;
  if (fields["kid"].get(text) == simdjson::SUCCESS) parts.key_id = text;
  return parts;
}

bool Verifies(const Key& key, const TokenParts& parts) {
  if (parts.algorithm != AlgorithmOf(key)) return false;
  const std::string signature =
      key.type() == KeyType::kRsa2048 ? parts.signature : DerSignature(parts.signature);
  if (signature.empty()) return false;
  DigestPtr digest(EVP_MD_CTX_new());
  const bool good =
      EVP_DigestVerifyInit(digest.get(), nullptr, EVP_sha256(), nullptr, key.native()) == 1 &&
      EVP_DigestVerify(digest.get(), reinterpret_cast<const unsigned char*>(signature.data()),
                       signature.size(),
                       reinterpret_cast<const unsigned char*>(parts.signed_text.data()),
                       parts.signed_text.size()) == 1;
  ERR_clear_error();
  return good;
}

std::string NumberParameter(const Key& key, const char* name, int pad) {
  BIGNUM* number = nullptr;
  if (EVP_PKEY_get_bn_param(key.native(), name, &number) != 1) return {};
  std::string out(static_cast<size_t>(pad > 0 ? pad : BN_num_bytes(number)), '\0');
  BN_bn2binpad(number, reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(out.size()));
  BN_free(number);
  return Base64Url(out);
}

}  // namespace

Result<std::string> SignJwt(const Key& key, std::string_view claims_json) {
  ERR_clear_error();
  const std::string header =
      "{\"alg\":\"" + std::string(AlgorithmOf(key)) + "\",\"kid\":\"" + key.Id() + "\"}";
  std::string token = Base64Url(header) + "." + Base64Url(claims_json);
  DigestPtr digest(EVP_MD_CTX_new());
  const auto* text = reinterpret_cast<const unsigned char*>(token.data());
  size_t length = 0;
  if (EVP_DigestSignInit(digest.get(), nullptr, EVP_sha256(), nullptr, key.native()) != 1 ||
      EVP_DigestSign(digest.get(), nullptr, &length, text, token.size()) != 1) {
    return Failure("sign token");
  }
  std::string signature(length, '\0');
  if (EVP_DigestSign(digest.get(), reinterpret_cast<unsigned char*>(signature.data()), &length,
                     text, token.size()) != 1) {
    return Failure("sign token");
  }
  signature.resize(length);
  if (key.type() == KeyType::kEcdsaP256) signature = RawSignature(signature);
  return token + "." + Base64Url(signature);
}

Result<std::string> VerifyJwt(std::span<const Key> keys, std::string_view token) {
  GANTRY_ASSIGN(TokenParts parts, Split(token));
  for (const Key& key : keys) {
    if (!parts.key_id.empty() && parts.key_id != key.Id()) continue;
    if (Verifies(key, parts)) return std::move(parts.claims);
  }
  return Status(Code::kUnauthorized, "the token's signature is not valid");
}

Result<std::string> PeekJwt(std::string_view token) {
  GANTRY_ASSIGN(TokenParts parts, Split(token));
  return std::move(parts.claims);
}

std::string JwkSet(std::span<const Key> keys) {
  std::string out = "{\"keys\":[";
  for (const Key& key : keys) {
    if (out.back() == '}') out += ',';
    const std::string common = "\"use\":\"sig\",\"kid\":\"" + key.Id() + "\",\"alg\":\"" +
                               std::string(AlgorithmOf(key)) + "\",";
    if (key.type() == KeyType::kRsa2048) {
      out += "{" + common + "\"kty\":\"RSA\",\"n\":\"" +
             NumberParameter(key, OSSL_PKEY_PARAM_RSA_N, 0) + "\",\"e\":\"" +
             NumberParameter(key, OSSL_PKEY_PARAM_RSA_E, 0) + "\"}";
    } else {
      out += "{" + common + "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" +
             NumberParameter(key, OSSL_PKEY_PARAM_EC_PUB_X, kP256Bytes) + "\",\"y\":\"" +
             NumberParameter(key, OSSL_PKEY_PARAM_EC_PUB_Y, kP256Bytes) + "\"}";
    }
  }
  return out + "]}";
}

}  // namespace gantry::apiserver::pki

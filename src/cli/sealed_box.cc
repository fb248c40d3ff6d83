#include "cli/sealed_box.h"

#include <absl/strings/escaping.h>
#include <openssl/evp.h>

#include <array>
#include <memory>

#include "api/json_value.h"
#include "cli/text_field.h"

namespace gantry::cli {
namespace {

constexpr char kKdf[] = "pbkdf2-sha256";
constexpr char kCipher[] = "aes-256-gcm";
constexpr int kIterations = 100'000;
constexpr int kMaxIterations = 10'000'000;
constexpr size_t kSaltBytes = 16, kNonceBytes = 12, kTagBytes = 16;

using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;
using CipherKey = std::array<uint8_t, 32>;

const uint8_t* Bytes(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}
uint8_t* Bytes(std::string& text) { return reinterpret_cast<uint8_t*>(text.data()); }

Result<CipherKey> DeriveKey(std::string_view secret, std::string_view salt, int iterations) {
  CipherKey key{};
  if (PKCS5_PBKDF2_HMAC(secret.data(), static_cast<int>(secret.size()), Bytes(salt),
                        static_cast<int>(salt.size()), iterations, EVP_sha256(),
                        static_cast<int>(key.size()), key.data()) != 1) {
    return InternalError("OpenSSL cannot derive a key");
  }
  return key;
}

std::string RandomText(Env& env, size_t size) {
  std::string text(size, '\0');
  env.RandomBytes({Bytes(text), text.size()});
  return text;
}

std::string BytesOf(const api::JsonValue& box, const char* name) {
  std::string bytes;
  return absl::Base64Unescape(TextField(box, name), &bytes) ? bytes : std::string();
}

}  // namespace

Result<std::string> Seal(Env& env, std::string_view secret, std::string_view text) {
  const std::string salt = RandomText(env, kSaltBytes), nonce = RandomText(env, kNonceBytes);
  GANTRY_ASSIGN(const CipherKey key, DeriveKey(secret, salt, kIterations));
  CipherContext context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  std::string sealed(text.size() + kTagBytes, '\0');
  int length = 0, end = 0;
  const bool good = EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key.data(),
                                       Bytes(nonce)) == 1 &&
                    EVP_EncryptUpdate(context.get(), Bytes(sealed), &length, Bytes(text),
                                      static_cast<int>(text.size())) == 1 &&
                    EVP_EncryptFinal_ex(context.get(), Bytes(sealed) + length, &end) == 1 &&
                    EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes,
                                        Bytes(sealed) + text.size()) == 1;
  if (!good) return InternalError("OpenSSL cannot encrypt");
  api::JsonValue box = api::JsonValue::MakeObject();
  box["kdf"] = kKdf;
  box["iterations"] = std::to_string(kIterations);
  box["salt"] = absl::Base64Escape(salt);
  box["cipher"] = kCipher;
  box["nonce"] = absl::Base64Escape(nonce);
  box["sealed"] = absl::Base64Escape(sealed);
  return box.ToString();
}

Result<std::string> Unseal(std::string_view secret, std::string_view text) {
  const Status none = DataLoss("these are no sealed keys of a cluster");
  Result<api::JsonValue> box = api::JsonValue::Parse(text);
  if (!box.ok() || TextField(*box, "kdf") != kKdf || TextField(*box, "cipher") != kCipher)
    return none;
  const std::string salt = BytesOf(*box, "salt"), nonce = BytesOf(*box, "nonce");
  std::string sealed = BytesOf(*box, "sealed");
  const int iterations = std::atoi(TextField(*box, "iterations").c_str());
  if (nonce.size() != kNonceBytes || sealed.size() < kTagBytes || iterations < 1 ||
      iterations > kMaxIterations) {
    return none;
  }
  GANTRY_ASSIGN(const CipherKey key, DeriveKey(secret, salt, iterations));
  CipherContext context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  const size_t size = sealed.size() - kTagBytes;
  std::string plain(size, '\0');
  int length = 0, end = 0;
  uint8_t unused[1];
  const bool good = EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key.data(),
                                       Bytes(nonce)) == 1 &&
                    EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes,
                                        Bytes(sealed) + size) == 1 &&
                    EVP_DecryptUpdate(context.get(), Bytes(plain), &length, Bytes(sealed),
                                      static_cast<int>(size)) == 1 &&
                    EVP_DecryptFinal_ex(context.get(), unused, &end) == 1;
  if (!good) return Status(Code::kForbidden, "the secret does not open the box");
  return plain;
}

}  // namespace gantry::cli

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "apiserver/pki/certificates.h"
#include "apiserver/pki/jwt.h"
#include "base/env/real/real_env.h"

namespace gantry::apiserver::pki {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr Duration kDay = std::chrono::hours(24);

TEST(Authority, IssuesCertificatesWithTheirSubject) {
  RealEnv env(1);
  const Authority authority = Authority::Create(env, "gantry-ca").value();
  const KeyPair pair =
      authority.IssueClient(env, "system:node:n1", {"system:nodes", "extra"}, kDay).value();
  const CertificateInfo info = ParseCertificate(pair.certificate_pem).value();
  EXPECT_EQ(info.common_name, "system:node:n1");
  EXPECT_THAT(info.organizations, ElementsAre("system:nodes", "extra"));
  EXPECT_LT(info.not_before, env.Now());
  EXPECT_GT(info.not_after, env.Now() + kDay - std::chrono::minutes(1));
  EXPECT_TRUE(Key::FromPrivatePem(pair.private_key_pem).ok());
}

TEST(Authority, IsTheSameAfterLoading) {
  RealEnv env(1);
  const Authority made = Authority::Create(env, "gantry-ca").value();
  const Authority loaded = Authority::Load(made.pair()).value();
  EXPECT_EQ(made.PublicKeyPin(), loaded.PublicKeyPin());
  EXPECT_THAT(made.PublicKeyPin(), StartsWith("sha256:"));
  EXPECT_EQ(ParseCertificate(made.certificate_pem())->public_key_pin, made.PublicKeyPin());

  KeyPair mixed = made.pair();
  mixed.private_key_pem = Authority::Create(env, "other").value().pair().private_key_pem;
  EXPECT_THAT(Authority::Load(mixed).status().message(), HasSubstr("does not belong"));
}

TEST(Authority, SignsRequestsAsTheyStand) {
  RealEnv env(1);
  const Authority authority = Authority::Create(env, "gantry-ca").value();
  const Key key = Key::Generate().value();
  const std::string request =
      MakeRequest(key, "alice", {"dev"}, {"web.local", "10.0.0.7", "::1"}).value();
  const RequestInfo info = ParseRequest(request).value();
  EXPECT_EQ(info.common_name, "alice");
  EXPECT_THAT(info.organizations, ElementsAre("dev"));
  EXPECT_THAT(info.dns_names, ElementsAre("web.local"));
  EXPECT_THAT(info.addresses, ElementsAre("10.0.0.7", "::1"));

  const std::string signed_pem =
      authority.SignRequest(env, request, {"client auth", "digital signature"}, kDay).value();
  EXPECT_EQ(ParseCertificate(signed_pem)->common_name, "alice");
  // Never longer than the authority itself.
  const std::string long_pem =
      authority.SignRequest(env, request, {"client auth"}, 100 * 365 * kDay).value();
  EXPECT_EQ(ParseCertificate(long_pem)->not_after,
            ParseCertificate(authority.certificate_pem())->not_after);

  EXPECT_THAT(authority.SignRequest(env, request, {"world domination"}, kDay).status().message(),
              HasSubstr("unrecognized usage \"world domination\""));
}

TEST(ParseRequest, RefusesWhatIsNone) {
  RealEnv env(1);
  const std::string request = MakeRequest(Key::Generate().value(), "alice", {}, {}).value();
  std::string damaged = request;
  damaged[request.size() / 2] = damaged[request.size() / 2] == 'A' ? 'B' : 'A';
  for (const std::string& text :
       {std::string(), std::string("x"), damaged,
        std::string("-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n")}) {
    EXPECT_EQ(ParseRequest(text).code(), Code::kBadRequest) << text;
  }
}

class Jwt : public ::testing::TestWithParam<KeyType> {};

TEST_P(Jwt, VerifiesWhatItSignedAndNothingElse) {
  const Key key = Key::Generate(GetParam()).value();
  const Key other = Key::Generate(GetParam()).value();
  const std::string claims =
      R"({"iss":"https://kubernetes.default.svc","sub":"system:serviceaccount:a:b"})";
  const std::string token = SignJwt(key, claims).value();
  const std::vector<Key> keys = {other, key};
  EXPECT_EQ(VerifyJwt(keys, token).value(), claims);
  EXPECT_EQ(PeekJwt(token).value(), claims);
  // The public half is enough, also after a trip through PEM.
  const std::vector<Key> public_keys = {Key::FromPublicPem(key.PublicPem().value()).value()};
  EXPECT_EQ(VerifyJwt(public_keys, token).value(), claims);
  EXPECT_EQ(public_keys[0].Id(), key.Id());

  const size_t first = token.find('.'), second = token.rfind('.');
  std::string other_claims = token;
  other_claims[first + 5] = other_claims[first + 5] == 'A' ? 'B' : 'A';
  std::string other_signature = token;
  other_signature[second + 5] = other_signature[second + 5] == 'A' ? 'B' : 'A';
  const std::string unsigned_token =
      "eyJhbGciOiJub25lIn0" + token.substr(first, second - first) + ".";
  const struct {
    const char* name;
    std::string token;
  } rows[] = {
      {"claims changed", other_claims},
      {"signature changed", other_signature},
      {"signature cut", token.substr(0, token.size() - 4)},
      {"no signature", token.substr(0, second + 1)},
      {"algorithm none", unsigned_token},
      {"two parts", token.substr(0, second)},
      {"four parts", token + ".x"},
      {"padding", token + "="},
      {"empty", ""},
      {"dots", ".."},
      {"too long", std::string(100'000, 'a') + "." + std::string(10, 'a') + ".a"},
  };
  for (const auto& row : rows)
    EXPECT_EQ(VerifyJwt(keys, row.token).code(), Code::kUnauthorized) << row.name;
  const std::vector<Key> strangers = {other};
  EXPECT_EQ(VerifyJwt(strangers, token).code(), Code::kUnauthorized);
}

INSTANTIATE_TEST_SUITE_P(Keys, Jwt, ::testing::Values(KeyType::kEcdsaP256, KeyType::kRsa2048),
                         [](const auto& info) {
                           return info.param == KeyType::kRsa2048 ? "Rsa" : "Ecdsa";
                         });

TEST(JwkSet, NamesEachKey) {
  const std::vector<Key> keys = {Key::Generate().value(), Key::Generate(KeyType::kRsa2048).value()};
  const std::string set = JwkSet(keys);
  EXPECT_THAT(set, HasSubstr("\"kid\":\"" + keys[0].Id() +
                             "\",\"alg\":\"ES256\",\"kty\":\"EC\",\"crv\":\"P-256\""));
  EXPECT_THAT(set, HasSubstr("\"kid\":\"" + keys[1].Id() + "\",\"alg\":\"RS256\",\"kty\":\"RSA\""));
}

}  // namespace
}  // namespace gantry::apiserver::pki

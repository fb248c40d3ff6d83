#include "client/kubeconfig.h"

#include <gmock/gmock.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace gantry::client {
namespace {

using ::testing::HasSubstr;

constexpr char kFile[] = R"(apiVersion: v1
kind: Config
clusters:
- name: home
  cluster:
    server: https://127.0.0.1:6443
    certificate-authority-data: Q0EtUEVN
- name: lab
  cluster: {server: "https://lab:6443", insecure-skip-tls-verify: true, tls-server-name: lab.local}
users:
- name: admin
  user:
    client-certificate: client.crt
    client-key-data: S0VZ
- name: robot
  user: {token: abc}
- name: cloud
  user:
    exec: {command: cloud-login, apiVersion: client.authentication.k8s.io/v1}
contexts:
- name: home
  context: {cluster: home, user: admin, namespace: web}
current-context: home
preferences: {}
)";

struct KubeconfigTest : ::testing::Test {
  KubeconfigTest() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "gantry-kubeconfig-XXXXXX").string();
    folder = mkdtemp(pattern.data());
    std::ofstream(folder + "/client.crt") << "CERT";
  }
  ~KubeconfigTest() override { std::filesystem::remove_all(folder); }
  std::string folder;
};

TEST_F(KubeconfigTest, IsReadWithTheFilesThatItNames) {
  std::ofstream(folder + "/config") << kFile;
  const Kubeconfig config = *ReadKubeconfig(folder + "/config");
  EXPECT_EQ(config.current_context, "home");
  const Kubeconfig::Context* context = config.FindContext("home");
  ASSERT_TRUE(context);
  EXPECT_EQ(context->ns, "web");
  const Kubeconfig::Cluster* cluster = config.FindCluster(context->cluster);
  ASSERT_TRUE(cluster);
  EXPECT_EQ(cluster->server, "https://127.0.0.1:6443");
  EXPECT_EQ(cluster->certificate_authority, "CA-PEM");
  const Kubeconfig::User* user = config.FindUser(context->user);
  ASSERT_TRUE(user);
  EXPECT_EQ(user->client_certificate, "CERT");
  EXPECT_EQ(user->client_key, "KEY");
  EXPECT_EQ(config.FindUser("robot")->token, "abc");
  EXPECT_EQ(config.FindUser("cloud")->token, "");
  EXPECT_TRUE(config.FindCluster("lab")->insecure_skip_tls_verify);
  EXPECT_EQ(config.FindCluster("lab")->tls_server_name, "lab.local");
  EXPECT_EQ(config.FindCluster("nowhere"), nullptr);
}

TEST_F(KubeconfigTest, WhatIsWrittenIsReadBackAndPrivate) {
  Kubeconfig::Cluster cluster;
  cluster.server = "https://10.0.0.1:6443";
  cluster.certificate_authority = "-----BEGIN CERTIFICATE-----\nx\n";
  Kubeconfig::User user;
  user.client_certificate = "cert\n";
  user.client_key = "key\n";
  user.token = "a: tricky #token";
  const std::string path = folder + "/written";
  ASSERT_TRUE(SaveKubeconfig(Kubeconfig::Single("gantry", cluster, user), path).ok());
  ASSERT_TRUE(SaveKubeconfig(Kubeconfig::Single("gantry", cluster, user), path).ok());
  struct stat info{};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  const Kubeconfig read = *ReadKubeconfig(path);
  EXPECT_EQ(read.current_context, "gantry");
  EXPECT_EQ(read.FindCluster("gantry")->server, cluster.server);
  EXPECT_EQ(read.FindCluster("gantry")->certificate_authority, cluster.certificate_authority);
  EXPECT_EQ(read.FindUser("gantry")->client_key, user.client_key);
  EXPECT_EQ(read.FindUser("gantry")->token, user.token);
}

TEST_F(KubeconfigTest, OfSeveralFilesTheFirstWins) {
  Kubeconfig first = *ParseKubeconfig("users: [{name: a, user: {token: one}}]", folder);
  first.MergeFrom(*ParseKubeconfig(
      "current-context: c\nusers: [{name: a, user: {token: two}}, {name: b, user: {token: three}}]",
      folder));
  EXPECT_EQ(first.FindUser("a")->token, "one");
  EXPECT_EQ(first.FindUser("b")->token, "three");
  EXPECT_EQ(first.current_context, "c");
}

TEST_F(KubeconfigTest, BadOnesSayWhatIsWrong) {
  const struct {
    const char* text;
    const char* message;
  } rows[] = {
      {"- a\n- b\n", "is a map"},
      {"kind: Pod\n", "\"Pod\""},
      {"clusters: {}\n", "clusters is not a list"},
      {"clusters: [{name: x, cluster: {certificate-authority-data: '***'}}]",
       "cluster \"x\": certificate-authority-data"},
      {"users: [{name: x, user: {client-key: /no/such/key}}]", "user \"x\": open /no/such/key"},
      {"a: [", ""},
  };
  for (const auto& row : rows) {
    const Result<Kubeconfig> config = ParseKubeconfig(row.text, folder);
    EXPECT_FALSE(config.ok()) << row.text;
    EXPECT_THAT(config.status().message(), HasSubstr(row.message));
  }
  EXPECT_TRUE(ParseKubeconfig("", folder).ok());
  EXPECT_THAT(ReadKubeconfig(folder + "/absent").status().message(), HasSubstr("/absent"));
}

}  // namespace
}  // namespace gantry::client

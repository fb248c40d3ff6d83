#include "net/dns_server.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <memory>
#include <sstream>

#include "api/core/v1/namespace.pb.h"
#include "client/testing/fake_client.h"
#include "net/testing/dns_upstream.h"
#include "net/testing/netns.h"
#include "net/testing/objects.h"

namespace gantry::net {
namespace {

using testing::DnsUpstream;
using testing::MakeService;
using testing::MakeSlice;
using testing::TestHost;
using testing::TestPort;
namespace core = api::core::v1;

// The server on the loopback of a network namespace of its own, asked by dig. Upstream is pretended
// on 127.0.0.2.
class DnsServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!host_.Ready()) GTEST_SKIP() << host_.problem();
    if (std::system("command -v dig > /dev/null") != 0) GTEST_SKIP() << "needs dig (dnsutils)";
    client_ = std::make_unique<client::FakeClient>(host_.env());
    for (const char* name : {"default", "prod"}) {
      core::Namespace ns;
      ns.mutable_metadata()->set_name(name);
      client_->Put(ns);
    }
    PutServices();
    upstream_ = std::make_unique<DnsUpstream>("127.0.0.2", 53);
    std::ofstream(ResolvConf()) << "nameserver 127.0.0.2\nsearch corp.test\n";
    informers_ = std::make_unique<client::InformerSet>(host_.env(), *client_);
    DnsOptions options;
    options.addresses = {*IpAddress::Parse("127.0.0.10"), *IpAddress::Parse("::1")};
    options.resolv_conf = ResolvConf();
    options.namespace_of = [](const IpAddress& ip) {
      return ip.ToString() == "127.0.0.1" ? std::string("default") : std::string();
    };
    server_ = std::make_unique<DnsServer>(host_.env(), *informers_, options);
    informers_->Start();
    ASSERT_TRUE(host_.Await(informers_->WaitForSync(CancelToken())).ok());
    ASSERT_EQ(host_.Await(server_->Start()).ToString(), "OK");
  }
  void TearDown() override {
    if (!server_) return;
    host_.env().RunToEnd(server_->Stop());
    host_.env().RunToEnd(informers_->Stop());
  }

  std::string ResolvConf() const { return host_.data_dir() + "/resolv.conf"; }

  void PutServices() {
    const std::vector<TestPort> web = {{"http", 80, 8080, "TCP", 0},
                                       {"metrics", 9090, 9090, "TCP", 0}};
    client_->Put(MakeService("web", "10.43.0.5", web));
    client_->Put(MakeSlice("web", web, {{"10.42.0.2"}}));
    const std::vector<TestPort> db = {{"pg", 5432, 5432, "TCP", 0}};
    client_->Put(MakeService("db", "None", db));
    testing::TestEndpoint first{"10.42.0.7"}, second{"10.42.0.8"}, unready{"10.42.0.9"};
    first.hostname = "db-0";
    unready.ready = false;
    client_->Put(MakeSlice("db", db, {first, second, unready}));
    client_->Put(MakeService("empty", "None", db));
    core::Service alias = MakeService("alias", "", {});
    alias.mutable_spec()->set_type("ExternalName");
    alias.mutable_spec()->set_external_name("www.example.com");
    client_->Put(alias);
    core::Service inner = alias;
    inner.mutable_metadata()->set_name("inner");
    inner.mutable_spec()->set_external_name("web.default.svc.cluster.local");
    client_->Put(inner);
    // Both families.
    core::Service both = MakeService("both", "10.43.0.7", web);
    both.mutable_spec()->add_cluster_ips("fd43::7");
    client_->Put(both);
    client_->Put(MakeService("pair", "None", db));
    client_->Put(MakeSlice("pair", db, {{"10.42.0.20"}}));
    auto six = MakeSlice("pair", db, {{"fd42::20"}});
    six.mutable_metadata()->set_name("pair-6");
    client_->Put(six);
    core::Service api = MakeService("kubernetes", "10.43.0.1", {{"https", 443, 6443, "TCP", 0}});
    client_->Put(api);
    core::Service other = MakeService("web", "10.43.0.6", web);
    other.mutable_metadata()->set_namespace_("prod");
    client_->Put(other);
  }

  // "STATUS flags: answers" with one "name ttl type data" for each answer; SOA of a negative answer
  // in brackets.
  std::string Dig(const std::string& arguments, const std::string& source = "127.0.0.3",
                  const std::string& server = "127.0.0.10") {
    std::string command =
        "dig +time=3 +tries=1 +noall +comments +answer +authority +additional -b " + source + " @" +
        server + " " + arguments;
    FILE* pipe = popen(command.c_str(), "r");
    std::array<char, 4096> buffer;
    std::string output;
    while (size_t got = fread(buffer.data(), 1, buffer.size(), pipe))
      output.append(buffer.data(), got);
    pclose(pipe);
    std::istringstream lines(output);
    std::string line, summary, status, flags, section;
    while (std::getline(lines, line)) {
      if (size_t at = line.find("status: "); at != std::string::npos) {
        status = line.substr(at + 8, line.find(',', at) - at - 8);
      } else if (line.starts_with(";; flags: ")) {
        flags = line.substr(10, line.find(';', 10) - 10);
      } else if (line.find("SECTION") != std::string::npos) {
        section = line.substr(3, line.find(' ', 3) - 3);
      } else if (!line.empty() && line[0] != ';') {
        std::istringstream fields(line);
        std::string name, ttl, in, type, data, word;
        fields >> name >> ttl >> in >> type;
        while (fields >> word)
          data += (data.empty() ? "" : " ") + word;
        if (type == "SOA") {
          summary += " [" + name + " " + ttl + " SOA " +
                     data.substr(0, data.find(' ', data.find(' ') + 1)) + "]";
        } else {
          summary +=
              (section == "ADDITIONAL" ? " +" : " ") + name + " " + ttl + " " + type + " " + data;
        }
      }
    }
    return status + " " + flags + ":" + summary;
  }

  const std::string soa_ =
      " [cluster.local. 30 SOA ns.dns.cluster.local. hostmaster.cluster.local.]";

  TestHost host_;
  std::unique_ptr<client::FakeClient> client_;
  std::unique_ptr<client::InformerSet> informers_;
  std::unique_ptr<DnsUpstream> upstream_;
  std::unique_ptr<DnsServer> server_;
};

TEST_F(DnsServerTest, AnswersTheClusterZoneAsCoreDns) {
  struct Row {
    const char* question;
    std::string want;
  };
  const std::string ok = "NOERROR qr aa rd ra:", none = "NOERROR qr aa rd ra:" + soa_,
                    missing = "NXDOMAIN qr aa rd ra:" + soa_;
  const Row rows[] = {
      {"web.default.svc.cluster.local A", ok + " web.default.svc.cluster.local. 30 A 10.43.0.5"},
      {"WEB.Default.SVC.cluster.LOCAL A", ok + " WEB.Default.SVC.cluster.LOCAL. 30 A 10.43.0.5"},
      {"kubernetes.default.svc.cluster.local A",
       ok + " kubernetes.default.svc.cluster.local. 30 A 10.43.0.1"},
      {"web.prod.svc.cluster.local A", ok + " web.prod.svc.cluster.local. 30 A 10.43.0.6"},
      {"web.default.svc.cluster.local AAAA", none},
      {"web.default.svc.cluster.local MX", none},
      {"web.default.svc.cluster.local TXT", none},
      {"nothing.default.svc.cluster.local A", missing},
      {"nothing.default.svc.cluster.local TXT", missing},
      {"web.nowhere.svc.cluster.local A", missing},
      {"default.svc.cluster.local A", none},
      {"nowhere.svc.cluster.local A", missing},
      {"svc.cluster.local A", none},
      {"cluster.local A", none},
      {"other.cluster.local A", missing},
      {"db-0.db.default.svc.cluster.local A",
       ok + " db-0.db.default.svc.cluster.local. 30 A 10.42.0.7"},
      {"10-42-0-8.db.default.svc.cluster.local A",
       ok + " 10-42-0-8.db.default.svc.cluster.local. 30 A 10.42.0.8"},
      {"db-9.db.default.svc.cluster.local A", missing},
      {"empty.default.svc.cluster.local A", missing},
      {"10-42-0-2.web.default.svc.cluster.local A",
       ok + " 10-42-0-2.web.default.svc.cluster.local. 30 A 10.42.0.2"},
      {"_http._tcp.web.default.svc.cluster.local SRV",
       ok + " _http._tcp.web.default.svc.cluster.local. 30 SRV 0 100 80 "
            "web.default.svc.cluster.local."
            " +web.default.svc.cluster.local. 30 A 10.43.0.5"},
      {"_http._tcp.web.default.svc.cluster.local A",
       ok + " _http._tcp.web.default.svc.cluster.local. 30 A 10.43.0.5"},
      {"_http._udp.web.default.svc.cluster.local SRV", missing},
      {"web.default.svc.cluster.local SRV",
       ok + " web.default.svc.cluster.local. 30 SRV 0 50 80 web.default.svc.cluster.local."
            " web.default.svc.cluster.local. 30 SRV 0 50 9090 web.default.svc.cluster.local."
            " +web.default.svc.cluster.local. 30 A 10.43.0.5"},
      {"_pg._tcp.db.default.svc.cluster.local SRV",
       ok + " _pg._tcp.db.default.svc.cluster.local. 30 SRV 0 50 5432 "
            "db-0.db.default.svc.cluster.local."
            " _pg._tcp.db.default.svc.cluster.local. 30 SRV 0 50 5432 "
            "10-42-0-8.db.default.svc.cluster.local."
            " +db-0.db.default.svc.cluster.local. 30 A 10.42.0.7"
            " +10-42-0-8.db.default.svc.cluster.local. 30 A 10.42.0.8"},
      {"alias.default.svc.cluster.local A",
       ok + " alias.default.svc.cluster.local. 30 CNAME www.example.com. www.example.com. 30 A "
            "192.0.2.80"},
      {"alias.default.svc.cluster.local CNAME",
       ok + " alias.default.svc.cluster.local. 30 CNAME www.example.com."},
      {"inner.default.svc.cluster.local A",
       ok + " inner.default.svc.cluster.local. 30 CNAME web.default.svc.cluster.local."
            " web.default.svc.cluster.local. 30 A 10.43.0.5"},
      {"10-42-0-5.default.pod.cluster.local A",
       ok + " 10-42-0-5.default.pod.cluster.local. 30 A 10.42.0.5"},
      {"10-42-0-5.default.pod.cluster.local AAAA", none},
      {"10-42-0.default.pod.cluster.local A", missing},
      {"10-42-0-5.nowhere.pod.cluster.local A", missing},
      {"dns-version.cluster.local TXT", ok + " dns-version.cluster.local. 28800 TXT \"1.1.0\""},
      {"ns.dns.cluster.local A", ok + " ns.dns.cluster.local. 30 A 127.0.0.10"},
      {"ns.dns.cluster.local AAAA", ok + " ns.dns.cluster.local. 30 AAAA ::1"},
      {"cluster.local NS",
       ok + " cluster.local. 30 NS ns.dns.cluster.local. +ns.dns.cluster.local. 30 A 127.0.0.10"
            " +ns.dns.cluster.local. 30 AAAA ::1"},
      {"cluster.local SOA", ok + soa_},
      {"-x 10.43.0.5", ok + " 5.0.43.10.in-addr.arpa. 30 PTR web.default.svc.cluster.local."},
      {"-x 10.42.0.7", ok + " 7.0.42.10.in-addr.arpa. 30 PTR db-0.db.default.svc.cluster.local."},
      {"-x 10.42.0.99", "NXDOMAIN qr rd ra: [. 30 SOA a.test. b.test.]"},
      {"web.default.svc.cluster.local A CH", "REFUSED qr rd ra:"},
      {"web.default.svc.cluster.local A +tcp",
       ok + " web.default.svc.cluster.local. 30 A 10.43.0.5"},
      {"web.default.svc.cluster.local A +noedns",
       ok + " web.default.svc.cluster.local. 30 A 10.43.0.5"},
  };
  for (const Row& row : rows)
    EXPECT_EQ(Dig(row.question), row.want) << row.question;
}

TEST_F(DnsServerTest, NamesHaveTheAddressesOfBothFamilies) {
  const std::string ok = "NOERROR qr aa rd ra:";
  const std::string seven =
      "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.3.4.d.f.ip6.arpa.";
  const std::string twenty =
      "0.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.4.d.f.ip6.arpa.";
  const std::pair<const char*, std::string> rows[] = {
      {"both.default.svc.cluster.local A", ok + " both.default.svc.cluster.local. 30 A 10.43.0.7"},
      {"both.default.svc.cluster.local AAAA",
       ok + " both.default.svc.cluster.local. 30 AAAA fd43::7"},
      {"_http._tcp.both.default.svc.cluster.local SRV",
       ok + " _http._tcp.both.default.svc.cluster.local. 30 SRV 0 50 80 "
            "both.default.svc.cluster.local."
            " _http._tcp.both.default.svc.cluster.local. 30 SRV 0 50 80 "
            "both.default.svc.cluster.local."
            " +both.default.svc.cluster.local. 30 A 10.43.0.7"
            " +both.default.svc.cluster.local. 30 AAAA fd43::7"},
      {"pair.default.svc.cluster.local A", ok + " pair.default.svc.cluster.local. 30 A 10.42.0.20"},
      {"pair.default.svc.cluster.local AAAA",
       ok + " pair.default.svc.cluster.local. 30 AAAA fd42::20"},
      {"fd42--20.pair.default.svc.cluster.local AAAA",
       ok + " fd42--20.pair.default.svc.cluster.local. 30 AAAA fd42::20"},
      {"fd42--20.default.pod.cluster.local AAAA",
       ok + " fd42--20.default.pod.cluster.local. 30 AAAA fd42::20"},
      {"-x fd43::7", ok + " " + seven + " 30 PTR both.default.svc.cluster.local."},
      {"-x fd42::20", ok + " " + twenty + " 30 PTR fd42--20.pair.default.svc.cluster.local."},
  };
  for (const auto& [question, want] : rows) {
    EXPECT_EQ(Dig(question), want);
    EXPECT_EQ(Dig(question, "::1", "::1"), want) << "over IPv6";
  }
}

TEST_F(DnsServerTest, HeadlessAddressesTurn) {
  std::string first = Dig("db.default.svc.cluster.local A"),
              second = Dig("db.default.svc.cluster.local A");
  EXPECT_NE(first, second);
  for (const std::string& answer : {first, second}) {
    EXPECT_NE(answer.find("10.42.0.7"), std::string::npos);
    EXPECT_NE(answer.find("10.42.0.8"), std::string::npos);
    EXPECT_EQ(answer.find("10.42.0.9"), std::string::npos) << "not ready";
  }
}

TEST_F(DnsServerTest, ForwardsAndRemembersOtherNames) {
  EXPECT_EQ(Dig("www.example.com A"), "NOERROR qr rd ra: www.example.com. 30 A 192.0.2.80");
  EXPECT_EQ(Dig("WWW.example.com A"), "NOERROR qr rd ra: WWW.example.com. 30 A 192.0.2.80");
  EXPECT_EQ(upstream_->queries(), 1);
  EXPECT_EQ(server_->counts().cache_hits, 1u);
  EXPECT_EQ(Dig("nothing.example.org A"), "NXDOMAIN qr rd ra: [. 30 SOA a.test. b.test.]");
  EXPECT_EQ(Dig("nothing.example.org A"), "NXDOMAIN qr rd ra: [. 30 SOA a.test. b.test.]");
  EXPECT_EQ(upstream_->queries(), 2) << "what does not exist is remembered too";
}

TEST_F(DnsServerTest, LargeAnswersComeOverTcp) {
  // Upstream says "truncated" over UDP; we ask it by TCP, and cut the answer down to what the
  // client takes.
  std::string whole = Dig("big.example.com A");
  EXPECT_NE(whole.find("192.0.2.99"), std::string::npos)
      << "dig repeats by TCP on its own: " << whole;
  EXPECT_EQ(Dig("big.example.com A +ignore +noedns"), "NOERROR qr tc rd ra:");
}

TEST_F(DnsServerTest, AnUpstreamThatIsSilentIsPassedOver) {
  std::ofstream(ResolvConf())
      << "nameserver 127.0.0.10\nnameserver 127.0.0.66\nnameserver 127.0.0.2\n";
  EXPECT_EQ(Dig("www.example.com A"), "NOERROR qr rd ra: www.example.com. 30 A 192.0.2.80");
}

TEST_F(DnsServerTest, WithoutAnyUpstreamItFailsClearly) {
  std::ofstream(ResolvConf()) << "# none\n";
  EXPECT_EQ(Dig("www.example.com A"), "SERVFAIL qr rd ra:");
  EXPECT_EQ(Dig("web.default.svc.cluster.local A"),
            "NOERROR qr aa rd ra: web.default.svc.cluster.local. 30 A 10.43.0.5");
}

TEST_F(DnsServerTest, AnswersForeignNamesOnTheFirstSearchDomain) {
  // From a pod of namespace "default": 127.0.0.1.
  EXPECT_EQ(
      Dig("www.example.com.default.svc.cluster.local A", "127.0.0.1"),
      "NOERROR qr aa rd ra: www.example.com.default.svc.cluster.local. 30 CNAME www.example.com."
      " www.example.com. 30 A 192.0.2.80");
  EXPECT_EQ(Dig("web.prod.default.svc.cluster.local A", "127.0.0.1"),
            "NOERROR qr aa rd ra: web.prod.default.svc.cluster.local. 30 CNAME "
            "web.prod.svc.cluster.local."
            " web.prod.svc.cluster.local. 30 A 10.43.0.6");
  const std::string missing = "NXDOMAIN qr aa rd ra:" + soa_;
  EXPECT_EQ(Dig("no.such.name.default.svc.cluster.local A", "127.0.0.1"), missing);
  EXPECT_EQ(Dig("intranet.default.svc.cluster.local A", "127.0.0.1"), missing)
      << "one label: a service that is not there";
  EXPECT_EQ(Dig("www.example.com.prod.svc.cluster.local A", "127.0.0.1"), missing)
      << "not its own namespace";
  EXPECT_EQ(Dig("www.example.com.default.svc.cluster.local A"), missing) << "not a pod of ours";
}

TEST_F(DnsServerTest, FollowsChanges) {
  client_->Remove<core::Service>("default", "web");
  const std::string missing = "NXDOMAIN qr aa rd ra:" + soa_;
  std::string answer;
  for (int i = 0; i < 50 && answer != missing; ++i)
    answer = Dig("web.default.svc.cluster.local A");
  EXPECT_EQ(answer, missing);
  EXPECT_EQ(Dig("-x 10.43.0.5"), "NXDOMAIN qr rd ra: [. 30 SOA a.test. b.test.]");
}

TEST_F(DnsServerTest, APortInUseIsAClearError) {
  DnsOptions options;
  options.addresses = {*IpAddress::Parse("127.0.0.10")};
  client::InformerSet informers(host_.env(), *client_);
  DnsServer second(host_.env(), informers, options);
  EXPECT_EQ(host_.Await(second.Start()).message(),
            "UDP port 53 of 127.0.0.10 for DNS is in use by another program");
}

}  // namespace
}  // namespace gantry::net

#include "net/address_pool.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace gantry::net {
namespace {

class AddressPoolTest : public ::testing::Test {
 protected:
  AddressPoolTest() {
    char name[] = "/tmp/gantry-pool-test-XXXXXX";
    directory_ = mkdtemp(name);
  }
  ~AddressPoolTest() override { std::filesystem::remove_all(directory_); }

  AddressPool Open() {
    Result<AddressPool> pool = AddressPool::Open(directory_);
    EXPECT_TRUE(pool.ok()) << pool.status().message();
    pool->SetNetworks({*Cidr::Parse("10.42.5.0/29")});
    return std::move(pool).value();
  }
  static std::string Acquire(AddressPool& pool, const std::string& uid) {
    PodAttachment pod;
    pod.uid = uid;
    pod.ns = "default";
    pod.name = "pod-" + uid;
    Result<PodRecord> record = pool.Acquire(pod);
    if (!record.ok()) return record.status().message();
    std::string ips;
    for (const IpAddress& ip : record->ips)
      ips += (ips.empty() ? "" : " ") + ip.ToString();
    return ips;
  }

  std::string directory_;
};

TEST_F(AddressPoolTest, GoesAroundAndSkipsWhatIsInUse) {
  AddressPool pool = Open();
  EXPECT_EQ(Acquire(pool, "a"), "10.42.5.2");
  EXPECT_EQ(Acquire(pool, "b"), "10.42.5.3");
  EXPECT_EQ(Acquire(pool, "a"), "10.42.5.2");
  ASSERT_TRUE(pool.Release("a").ok());
  EXPECT_EQ(Acquire(pool, "c"), "10.42.5.4");
  EXPECT_EQ(Acquire(pool, "d"), "10.42.5.5");
  EXPECT_EQ(Acquire(pool, "e"), "10.42.5.6");
  EXPECT_EQ(Acquire(pool, "f"), "10.42.5.2");
  EXPECT_EQ(Acquire(pool, "g"), "no free address in pod CIDR 10.42.5.0/29");
}

TEST_F(AddressPoolTest, RemembersOverACrash) {
  {
    AddressPool pool = Open();
    PodAttachment pod;
    pod.uid = "a", pod.ns = "prod", pod.name = "web";
    HostPort port;
    port.protocol = "UDP", port.host_ip = "192.0.2.1", port.host_port = 53,
    port.container_port = 5353;
    pod.host_ports = {port};
    ASSERT_TRUE(pool.Acquire(pod).ok());
  }
  // Half-written by a crash: never handed out.
  std::ofstream(directory_ + "/10.42.5.3") << "b\ndefault";
  std::ofstream(directory_ + "/10.42.5.4");
  std::ofstream(directory_ + "/notes.txt") << "not ours";
  AddressPool pool = Open();
  ASSERT_EQ(pool.All().size(), 1u);
  const PodRecord* found = pool.FindByIp(*IpAddress::Parse("10.42.5.2"));
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->uid + found->ns + found->name, "aprodweb");
  ASSERT_EQ(found->host_ports.size(), 1u);
  EXPECT_EQ(found->host_ports[0].host_ip, "192.0.2.1");
  EXPECT_EQ(found->host_ports[0].container_port, 5353);
  EXPECT_EQ(Acquire(pool, "c"), "10.42.5.3");
  EXPECT_TRUE(std::filesystem::exists(directory_ + "/notes.txt"));
}

TEST_F(AddressPoolTest, GivesOneAddressOfEachFamily) {
  AddressPool pool = Open();
  pool.SetNetworks({*Cidr::Parse("fd42::/64"), *Cidr::Parse("10.42.5.0/30")});
  EXPECT_EQ(Acquire(pool, "a"), "fd42::2 10.42.5.2");
  EXPECT_EQ(Acquire(pool, "b"), "no free address in pod CIDR 10.42.5.0/30");
  AddressPool again = Open();
  ASSERT_EQ(again.All().size(), 1u);
  EXPECT_EQ(Acquire(again, "a"), "fd42::2 10.42.5.2") << "both are on record";
  EXPECT_EQ(again.FindByIp(*IpAddress::Parse("10.42.5.2"))->uid, "a");
  EXPECT_EQ(again.FindByIp(*IpAddress::Parse("fd42::2"))->uid, "a");
  ASSERT_TRUE(again.Release("a").ok());
  EXPECT_EQ(again.FindByIp(*IpAddress::Parse("10.42.5.2")), nullptr);
}

TEST_F(AddressPoolTest, AddressesWithTheSameEndExcludeEachOther) {
  AddressPool pool = Open();
  pool.SetNetworks({*Cidr::Parse("fd42:0:0:1::/64")});
  EXPECT_EQ(Acquire(pool, "a"), "fd42:0:0:1::2");
  pool.SetNetworks({*Cidr::Parse("fd42:0:0:2::/64")});
  EXPECT_EQ(Acquire(pool, "b"), "fd42:0:0:2::3") << "interfaces are named after the end";
}

TEST_F(AddressPoolTest, WithoutASubnetThereIsNothingToGive) {
  Result<AddressPool> pool = AddressPool::Open(directory_);
  EXPECT_EQ(Acquire(*pool, "a"), "no pod network yet: the node has no pod CIDR");
}

}  // namespace
}  // namespace gantry::net

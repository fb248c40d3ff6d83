#include "net/address_pool.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "net/names.h"
#include "net/netlink/socket.h"

namespace gantry::net {
namespace {

// More than enough for one node, and few enough for the ends of addresses to tell them apart.
constexpr uint64_t kMostAddresses = uint64_t{1} << 24;

// The first line is the uid, the second namespace and name, then one line for each further address,
// the network namespace and each host port; "end" says that the file is whole.
std::string Encode(const PodRecord& record) {
  std::string text = record.uid + "\n" + record.ns + " " + record.name + "\n";
  for (size_t i = 1; i < record.ips.size(); ++i)
    text += "also " + record.ips[i].ToString() + "\n";
  if (!record.netns_path.empty()) text += "netns " + record.netns_path + "\n";
  for (const HostPort& port : record.host_ports) {
    text += "port " + port.protocol + " " + (port.host_ip.empty() ? "-" : port.host_ip) + " " +
            std::to_string(port.host_port) + " " + std::to_string(port.container_port) + "\n";
  }
  return text + "end\n";
}

std::optional<PodRecord> Decode(const IpAddress& primary, std::istream& in) {
  PodRecord record;
  record.ips.push_back(primary);
  std::string line;
  if (!std::getline(in, record.uid) || record.uid.empty() || !std::getline(in, line))
    return std::nullopt;
  std::istringstream names(line);
  names >> record.ns >> record.name;
  while (std::getline(in, line)) {
    if (line == "end") return record;
    std::istringstream fields(line);
    std::string tag;
    fields >> tag;
    if (tag == "netns") {
      std::getline(fields >> std::ws, record.netns_path);
      continue;
    }
    if (tag == "also") {
      std::string text;
      fields >> text;
      std::optional<IpAddress> ip = IpAddress::Parse(text);
      if (!ip) return std::nullopt;
      record.ips.push_back(*ip);
      continue;
    }
    HostPort port;
    fields >> port.protocol >> port.host_ip >> port.host_port >> port.container_port;
    if (!fields || tag != "port") return std::nullopt;
    if (port.host_ip == "-") port.host_ip.clear();
    record.host_ports.push_back(std::move(port));
  }
  return std::nullopt;
}

Status WriteNew(const std::string& path, const std::string& text) {
  UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return FromErrno(errno, "create " + path);
  if (write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    Status status = FromErrno(errno, "write " + path);
    unlink(path.c_str());
    return status;
  }
  return Status::Ok();
}

}  // namespace

Result<AddressPool> AddressPool::Open(std::string directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return FromErrno(error.value(), "create " + directory);
  AddressPool pool(std::move(directory));
  GANTRY_TRY(pool.Load());
  return pool;
}

Status AddressPool::Load() {
  std::error_code error;
  std::filesystem::directory_iterator files(directory_, error);
  if (error) return FromErrno(error.value(), "read " + directory_);
  for (const auto& file : files) {
    std::optional<IpAddress> ip = IpAddress::Parse(file.path().filename().string());
    if (!ip) continue;
    std::ifstream in(file.path());
    std::optional<PodRecord> record = Decode(*ip, in);
    if (!record || by_uid_.contains(record->uid)) {
      std::filesystem::remove(file.path(), error);
      continue;
    }
    for (const IpAddress& own : record->ips)
      by_ip_[own] = record->uid;
    by_uid_[record->uid] = std::move(*record);
  }
  return Status::Ok();
}

void AddressPool::SetNetworks(std::vector<Cidr> networks) {
  networks_ = std::move(networks);
  last_.assign(networks_.size(), 1);
}

// Interfaces are named after the ends of addresses: two of IPv6 with the same end exclude each
// other, as they could only have when the node's network changed.
bool AddressPool::InUse(const IpAddress& ip) const {
  if (ip.is_v4()) return by_ip_.contains(ip);
  return std::any_of(by_ip_.begin(), by_ip_.end(), [&](const auto& entry) {
    return entry.first.size == ip.size && TailOf(entry.first) == TailOf(ip);
  });
}

Result<IpAddress> AddressPool::NextFree(size_t network) {
  const Cidr& cidr = networks_[network];
  const uint64_t size = std::min(cidr.Size(), kMostAddresses);
  if (size < 4) return Unavailable("pod CIDR " + cidr.ToString() + " has no room for pods");
  // Usable offsets are 2 to size - 2.
  const uint64_t usable = size - 3;
  for (uint64_t step = 0; step < usable; ++step) {
    const uint64_t offset = 2 + (last_[network] - 1 + step) % usable;
    const IpAddress ip = cidr.At(offset);
    if (InUse(ip)) continue;
    last_[network] = offset;
    return ip;
  }
  return Unavailable("no free address in pod CIDR " + cidr.ToString());
}

Result<PodRecord> AddressPool::Acquire(const PodAttachment& pod) {
  if (auto known = by_uid_.find(pod.uid); known != by_uid_.end()) {
    // The same pod may come with another namespace, after a reboot.
    known->second.netns_path = pod.netns_path;
    return known->second;
  }
  if (networks_.empty()) return Unavailable("no pod network yet: the node has no pod CIDR");
  PodRecord record;
  record.uid = pod.uid;
  record.ns = pod.ns;
  record.name = pod.name;
  record.netns_path = pod.netns_path;
  record.host_ports = pod.host_ports;
  for (size_t i = 0; i < networks_.size(); ++i) {
    GANTRY_ASSIGN(IpAddress ip, NextFree(i));
    record.ips.push_back(ip);
  }
  GANTRY_TRY(WriteNew(PathOf(record), Encode(record)));
  for (const IpAddress& ip : record.ips)
    by_ip_[ip] = pod.uid;
  by_uid_[pod.uid] = record;
  return record;
}

Status AddressPool::Release(const std::string& uid) {
  auto found = by_uid_.find(uid);
  if (found == by_uid_.end()) return Status::Ok();
  const std::string path = PathOf(found->second);
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return FromErrno(errno, "remove " + path);
  for (const IpAddress& ip : found->second.ips)
    by_ip_.erase(ip);
  by_uid_.erase(found);
  return Status::Ok();
}

const PodRecord* AddressPool::Find(const std::string& uid) const {
  auto found = by_uid_.find(uid);
  return found == by_uid_.end() ? nullptr : &found->second;
}

const PodRecord* AddressPool::FindByIp(const IpAddress& ip) const {
  auto found = by_ip_.find(ip);
  return found == by_ip_.end() ? nullptr : Find(found->second);
}

std::vector<PodRecord> AddressPool::All() const {
  std::vector<PodRecord> records;
  for (const auto& [uid, record] : by_uid_)
    records.push_back(record);
  return records;
}

}  // namespace gantry::net

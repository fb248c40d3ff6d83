#include "net/address_pool.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "net/netlink/socket.h"

namespace gantry::net {
namespace {

// The first line is the uid, the second namespace and name, then one line for each host port; "end"
// says that the file is whole.
std::string Encode(const PodRecord& record) {
  std::string text = record.uid + "\n" + record.ns + " " + record.name + "\n";
  for (const HostPort& port : record.host_ports) {
    text += "port " + port.protocol + " " + (port.host_ip.empty() ? "-" : port.host_ip) + " " +
            std::to_string(port.host_port) + " " + std::to_string(port.container_port) + "\n";
  }
  return text + "end\n";
}

std::optional<PodRecord> Decode(std::istream& in) {
  PodRecord record;
  std::string line;
  if (!std::getline(in, record.uid) || record.uid.empty() || !std::getline(in, line))
    return std::nullopt;
  std::istringstream names(line);
  names >> record.ns >> record.name;
  while (std::getline(in, line)) {
    if (line == "end") return record;
    std::istringstream fields(line);
    std::string tag;
    HostPort port;
    fields >> tag >> port.protocol >> port.host_ip >> port.host_port >> port.container_port;
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
    std::optional<PodRecord> record = Decode(in);
    if (!record || by_uid_.contains(record->uid)) {
      std::filesystem::remove(file.path(), error);
      continue;
    }
    record->ip = *ip;
    by_ip_[*ip] = record->uid;
    by_uid_[record->uid] = std::move(*record);
  }
  return Status::Ok();
}

Result<PodRecord> AddressPool::Acquire(const PodAttachment& pod) {
  if (const PodRecord* known = Find(pod.uid)) return *known;
  if (!network_) return Unavailable("no pod network yet: the node has no pod CIDR");
  uint64_t size = network_->Size();
  if (size < 4) return Unavailable("pod CIDR " + network_->ToString() + " has no room for pods");
  // Usable offsets are 2 to size - 2.
  uint32_t usable = static_cast<uint32_t>(size - 3);
  for (uint32_t step = 0; step < usable; ++step) {
    uint32_t offset = 2 + (last_ - 1 + step) % usable;
    IpAddress ip = network_->At(offset);
    if (by_ip_.contains(ip)) continue;
    PodRecord record;
    record.uid = pod.uid;
    record.ns = pod.ns;
    record.name = pod.name;
    record.ip = ip;
    record.host_ports = pod.host_ports;
    GANTRY_TRY(WriteNew(PathOf(ip), Encode(record)));
    last_ = offset;
    by_ip_[ip] = pod.uid;
    by_uid_[pod.uid] = record;
    return record;
  }
  return Unavailable("no free address in pod CIDR " + network_->ToString());
}

Status AddressPool::Release(const std::string& uid) {
  auto found = by_uid_.find(uid);
  if (found == by_uid_.end()) return Status::Ok();
  std::string path = PathOf(found->second.ip);
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return FromErrno(errno, "remove " + path);
  by_ip_.erase(found->second.ip);
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

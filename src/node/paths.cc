#include "node/paths.h"

#include <cstdint>
#include <cstdio>

namespace gantry::node {
namespace {

// FNV-1a: the instance's name must be the same in every run and every build.
std::string ShortHash(std::string_view text) {
  uint64_t hash = 14695981039346656037ULL;
  for (unsigned char c : text)
    hash = (hash ^ c) * 1099511628211ULL;
  char out[17];
  std::snprintf(out, sizeof out, "%016llx", static_cast<unsigned long long>(hash));
  return std::string(out + 8, 8);
}

std::string Join(std::initializer_list<std::string_view> parts) {
  std::string out;
  for (std::string_view part : parts)
    out.append(part);
  return out;
}

}  // namespace

Paths::Paths(std::string data_dir) : data_dir_(std::move(data_dir)) {
  while (data_dir_.size() > 1 && data_dir_.back() == '/')
    data_dir_.pop_back();
  instance_ = ShortHash(data_dir_);
  run_dir_ = "/run/gantry/" + instance_;
}

std::string Paths::Pod(std::string_view uid) const { return Join({data_dir_, "/pods/", uid}); }

std::string Paths::Volume(std::string_view uid, std::string_view kind,
                          std::string_view name) const {
  return Join({data_dir_, "/pods/", uid, "/volumes/", kind, "/", name});
}

std::string Paths::Home(std::string_view uid, std::string_view container, int attempt) const {
  return Join({data_dir_, "/pods/", uid, "/containers/", container, "/", std::to_string(attempt)});
}

std::string Paths::Bundles(std::string_view uid) const {
  return Join({run_dir_, "/bundles/", uid});
}

std::string Paths::Bundle(std::string_view uid, std::string_view container, int attempt) const {
  return Join({run_dir_, "/bundles/", uid, "/", container, "/", std::to_string(attempt)});
}

std::string Paths::PodLogs(std::string_view ns, std::string_view name, std::string_view uid) const {
  return Join({data_dir_, "/logs/", ns, "_", name, "_", uid});
}

std::string Paths::Namespaces(std::string_view uid) const { return Join({run_dir_, "/ns/", uid}); }

}  // namespace gantry::node

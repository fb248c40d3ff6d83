#include "controllers/history/template_hash.h"

#include <cstdint>
#include <string_view>

#include "api/core/v1/pod_template.pb.h"
#include "api/same.h"

namespace gantry::controllers {

std::string TemplateHash(const api::core::v1::PodTemplateSpec& pod_template, int collision_count) {
  uint32_t hash = 2166136261u;  // FNV-1a
  auto add = [&hash](std::string_view bytes) {
    for (unsigned char byte : bytes)
      hash = (hash ^ byte) * 16777619u;
  };
  add(api::CanonicalBytes(pod_template));
  if (collision_count > 0) add(std::to_string(collision_count));
  // Letters that spell no words, as generated names have them.
  constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
  std::string text = std::to_string(hash);
  for (char& c : text)
    c = kAlphabet[static_cast<unsigned char>(c) % kAlphabet.size()];
  return text;
}

}  // namespace gantry::controllers

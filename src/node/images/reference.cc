#include "node/images/reference.h"

#include <algorithm>
#include <cctype>

namespace gantry::node {
namespace {

bool IsAlnumLower(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool HasUpper(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

// Runs of [a-z0-9], joined by ".", "_", "__" or any number of "-".
bool IsPathComponent(std::string_view text) {
  if (text.empty() || !IsAlnumLower(text.front()) || !IsAlnumLower(text.back())) return false;
  for (size_t i = 0; i < text.size();) {
    if (IsAlnumLower(text[i])) {
      ++i;
      continue;
    }
    size_t end = i;
    while (end < text.size() && !IsAlnumLower(text[end]))
      ++end;
    std::string_view separator = text.substr(i, end - i);
    bool dashes = separator.find_first_not_of('-') == std::string_view::npos;
    if (!dashes && separator != "." && separator != "_" && separator != "__") return false;
    i = end;
  }
  return true;
}

bool IsDomain(std::string_view text) {
  size_t colon = text.rfind(':');
  if (colon != std::string_view::npos && text.back() != ']') {
    std::string_view port = text.substr(colon + 1);
    if (port.empty() || port.find_first_not_of("0123456789") != std::string_view::npos)
      return false;
    text = text.substr(0, colon);
  }
  if (text.size() > 2 && text.front() == '[' && text.back() == ']') return true;
  if (text.empty()) return false;
  for (size_t begin = 0; begin <= text.size();) {
    size_t end = std::min(text.find('.', begin), text.size());
    std::string_view label = text.substr(begin, end - begin);
    if (label.empty() || label.front() == '-' || label.back() == '-') return false;
    for (char c : label) {
      if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-') return false;
    }
    begin = end + 1;
  }
  return true;
}

bool IsTag(std::string_view text) {
  if (text.empty() || text.size() > 128 || text.front() == '.' || text.front() == '-') return false;
  for (char c : text) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '.' && c != '-')
      return false;
  }
  return true;
}

bool IsDigest(std::string_view text) {
  if (!text.starts_with("sha256:") || text.size() != 7 + 64) return false;
  return text.substr(7).find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace

std::string ImageReference::ToString() const {
  return digest.empty() ? Name() + ":" + tag : Name() + "@" + digest;
}

Result<ImageReference> ParseImageReference(std::string_view text) {
  auto invalid = [text](std::string_view why) {
    return Status(Code::kInvalid,
                  "couldn't parse image name \"" + std::string(text) + "\": " + std::string(why));
  };
  constexpr std::string_view kFormat = "invalid reference format";
  ImageReference ref;
  std::string_view rest = text;
  if (size_t at = rest.find('@'); at != std::string_view::npos) {
    ref.digest = rest.substr(at + 1);
    if (!IsDigest(ref.digest)) return invalid(kFormat);
    rest = rest.substr(0, at);
  }
  size_t slash = rest.rfind('/');
  size_t colon = rest.rfind(':');
  if (colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash)) {
    ref.tag = rest.substr(colon + 1);
    if (!IsTag(ref.tag)) return invalid(kFormat);
    rest = rest.substr(0, colon);
  }
  if (rest.empty()) return invalid(kFormat);
  size_t first = rest.find('/');
  std::string_view head = rest.substr(0, first);
  bool has_domain = first != std::string_view::npos &&
                    (head.find_first_of(".:") != std::string_view::npos || head == "localhost");
  // What is not in lower case can only be a host.
  has_domain |= first != std::string_view::npos && HasUpper(head);
  if (has_domain) {
    ref.domain = head;
    rest = rest.substr(first + 1);
    if (!IsDomain(ref.domain)) return invalid(kFormat);
  } else {
    ref.domain = "docker.io";
  }
  if (ref.domain == "index.docker.io") ref.domain = "docker.io";
  bool library = ref.domain == "docker.io" && rest.find('/') == std::string_view::npos;
  if (HasUpper(rest)) {
    return invalid("invalid reference format: repository name (" +
                   std::string(library ? "library/" : "") + std::string(rest) +
                   ") must be lowercase");
  }
  for (size_t begin = 0; begin <= rest.size();) {
    size_t end = std::min(rest.find('/', begin), rest.size());
    if (!IsPathComponent(rest.substr(begin, end - begin))) return invalid(kFormat);
    begin = end + 1;
  }
  ref.repository = rest;
  if (library) ref.repository = "library/" + ref.repository;
  if (ref.Name().size() > 255) {
    return invalid("repository name must not be more than 255 characters");
  }
  if (ref.tag.empty() && ref.digest.empty()) ref.tag = "latest";
  return ref;
}

}  // namespace gantry::node

#include "node/images/pull_error.h"

namespace gantry::node {
namespace {

// The last message, without its log decoration.
std::string LastMessage(std::string_view text) {
  while (!text.empty() && text.back() == '\n')
    text.remove_suffix(1);
  size_t line = text.rfind('\n');
  if (line != std::string_view::npos) text.remove_prefix(line + 1);
  size_t begin = text.find("msg=\"");
  if (begin == std::string_view::npos) return std::string(text);
  std::string out;
  for (size_t i = begin + 5; i < text.size() && text[i] != '"'; ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    out.push_back(text[i]);
  }
  return out;
}

bool HasAny(std::string_view text, std::initializer_list<std::string_view> parts) {
  for (std::string_view part : parts) {
    if (text.find(part) != std::string_view::npos) return true;
  }
  return false;
}

// `Get "https://host/v2/": dial tcp …`: the scheme and what went wrong.
bool SplitRequest(std::string_view message, std::string* scheme, std::string* why) {
  constexpr std::string_view kGet = "Get \"";
  size_t get = message.find(kGet);
  if (get == std::string_view::npos) return false;
  std::string_view rest = message.substr(get + kGet.size());
  size_t end = rest.find("\": ");
  size_t colon = rest.find("://");
  if (end == std::string_view::npos || colon == std::string_view::npos) return false;
  *scheme = rest.substr(0, colon);
  *why = rest.substr(end + 3);
  return true;
}

}  // namespace

bool IsDenied(std::string_view output) {
  return HasAny(LastMessage(output), {"unauthorized", "authentication required", "denied",
                                      "no basic auth credentials", "invalid username/password"});
}

std::string DescribePullError(const ImageReference& image, std::string_view output,
                              bool with_credentials) {
  std::string message = LastMessage(output), name = image.ToString();
  std::string unpack = "failed to pull and unpack image \"" + name + "\": ";
  std::string resolve = unpack + "failed to resolve reference \"" + name + "\": ";
  std::string scheme, why;
  if (HasAny(message, {"manifest unknown", "name unknown", "not found: "}))
    return resolve + name + ": not found";
  if (IsDenied(output)) {
    return resolve +
           "pull access denied, repository does not exist or may require authorization: " +
           (with_credentials ? "authorization failed: the credentials were refused"
                             : "authorization failed: no basic auth credentials");
  }
  if (SplitRequest(message, &scheme, &why)) {
    return resolve + "failed to do request: Head \"" + scheme + "://" + image.domain + "/v2/" +
           image.repository + "/manifests/" + (image.digest.empty() ? image.tag : image.digest) +
           "\": " + why;
  }
  return unpack + message;
}

}  // namespace gantry::node

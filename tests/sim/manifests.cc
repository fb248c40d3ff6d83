#include "sim/manifests.h"

#include <algorithm>

namespace gantry::sim {

std::string With(std::string text, std::string_view word, const std::string& value) {
  for (size_t at = text.find(word); at != std::string::npos;
       at = text.find(word, at + value.size()))
    text.replace(at, word.size(), value);
  return text;
}

bool IsAny(const Status& status, std::initializer_list<Code> codes) {
  return std::find(codes.begin(), codes.end(), status.code()) != codes.end();
}

}  // namespace gantry::sim

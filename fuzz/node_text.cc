#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "node/images/credentials.h"
#include "node/images/reference.h"
#include "node/streams/log_file.h"

// What a node reads of what users and containers write: names of images, credentials of registries,
// lines of logs.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gantry::node;  // NOLINT: one program for many parsers
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (auto image = ParseImageReference(text); image.ok()) {
    auto again = ParseImageReference(image->ToString());
    if (!again.ok() || again->ToString() != image->ToString()) abort();
  }
  static const ImageReference image = *ParseImageReference("registry.example:5000/team/web:1");
  (void)AuthFilesFor({text}, image);
  if (auto line = ParseLogLine(text)) {
    if (line->text.data() + line->text.size() > text.data() + text.size()) abort();
    (void)ParseLogTime(line->time);
  }
  return 0;
}

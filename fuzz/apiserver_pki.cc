#include <cstdint>
#include <string_view>

#include "apiserver/pki/certificates.h"

// Certificates and signing requests that clients hand in.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view pem(reinterpret_cast<const char*>(data), size);
  (void)gantry::apiserver::pki::ParseRequest(pem).ok();
  (void)gantry::apiserver::pki::ParseCertificate(pem).ok();
  return 0;
}

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace gantry::controllers {

// A range of addresses cut into subnets of one size, some of them taken. Threading: a value.
class Subnets {
 public:
  // `range` such as "10.42.0.0/16" or "fd42::/56", cut into subnets with a prefix of
  // `subnet_prefix` bits. kBadRequest when it is no range, has no room for one, or has room for
  // more than can be kept track of.
  static Result<Subnets> Cut(const std::string& range, int subnet_prefix);

  bool is_v6() const { return bits_ == 128; }
  // Marks the subnets that overlap with `network`, whatever its size. Other families and what is
  // no network count for nothing.
  void Take(std::string_view network);
  // The lowest free one, taken from now on; none when all are.
  std::optional<std::string> Next();

 private:
  using Number = unsigned __int128;  // an address
  struct Network {
    Number first = 0;
    int prefix = 0;
    int bits = 0;  // of an address: 32, 128
  };

  Subnets() = default;
  static std::optional<Network> Parse(std::string_view text);
  static std::string Format(Number first, int prefix, int bits);
  static Number LastOf(const Network& network);

  Network range_;
  int bits_ = 0;
  int subnet_prefix_ = 0;
  std::vector<bool> taken_;
  size_t next_ = 0;  // none below it is free
};

}  // namespace gantry::controllers

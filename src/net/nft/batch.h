#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "net/ip.h"
#include "net/netlink/socket.h"

namespace gantry::net {

// Whose packets a table sees. Rules and sets of a table hold addresses of its family.
enum class NftFamily : uint8_t { kIp = 2, kIp6 = 10 };
inline NftFamily NftFamilyOf(const IpAddress& ip) {
  return ip.is_v6() ? NftFamily::kIp6 : NftFamily::kIp;
}

// The bytes of a set element's key or data: fields in network byte order, each padded to 4 bytes as
// registers are. Threading: a value.
class NftBytes {
 public:
  NftBytes() = default;
  static NftBytes Of(std::span<const uint8_t> bytes) { return NftBytes().Field(bytes); }
  NftBytes& Ip(const IpAddress& ip) { return Field(ip.raw()); }
  NftBytes& Protocol(uint8_t protocol) { return Field({&protocol, 1}); }
  NftBytes& Port(uint16_t port);
  NftBytes& Number(uint32_t value);  // in the host's order, as the kernel's own numbers are

  std::span<const uint8_t> view() const { return {bytes_.data(), size_}; }
  auto operator<=>(const NftBytes&) const = default;

 private:
  NftBytes& Field(std::span<const uint8_t> field);

  std::array<uint8_t, 48> bytes_{};
  uint8_t size_ = 0;
};

struct NftElement {
  NftElement(NftBytes key, NftBytes data = {})
      : key(key), data(data) {}  // NOLINT: implicit on purpose
  // An element of a verdict map.
  NftElement(NftBytes key, std::string goto_chain) : key(key), goto_chain(std::move(goto_chain)) {}

  NftBytes key;
  NftBytes data;
  std::string goto_chain;
  uint32_t timeout_seconds = 0;  // in a dynamic set
  bool ends_interval = false;    // in a set of intervals: the first key after one
};

// The type of a key or of data, as listings show it: the fields, first to last.
enum class NftType : uint32_t {
  kMark = 19,
  kIp = 7,
  kIp6 = 8,
  kProtocol = 12,
  kPort = 13,
  kAddressType = 38
};

constexpr NftType AddressTypeOf(NftFamily family) {
  return family == NftFamily::kIp ? NftType::kIp : NftType::kIp6;
}
// How many registers a value takes, and so how many fours of bytes it has in a key.
constexpr int RegistersOf(NftType type) { return type == NftType::kIp6 ? 4 : 1; }

struct NftSet {
  std::string name;
  std::vector<NftType> key;
  std::vector<NftType> data;  // empty: a set, unless `verdicts`
  bool verdicts = false;
  bool dynamic = false;   // filled by rules, with a timeout for each element
  bool interval = false;  // each element begins an interval, up to the next one that ends it
  uint32_t limit = 0;     // most elements; 0: none
};

enum class NftHook : uint8_t {
  kPrerouting = 0,
  kInput = 1,
  kForward = 2,
  kOutput = 3,
  kPostrouting = 4
};

// One rule, as the expressions that the kernel runs from left to right until one does not match.
// Registers hold 4 bytes each and are numbered from 0 to 15; a loaded field takes one (an IPv6
// address four), joined keys take neighbours. Threading: one thread at a time.
class NftRule {
 public:
  enum class Side : uint8_t { kSource, kDestination };
  // Of a tracked connection, whichever way the packet goes: who began it (before any translation),
  // who answers and where (after it). Ends the rule where conntrack knows of none.
  enum class Connection : uint8_t { kClient, kServer, kProtocol, kServerPort };

  explicit NftRule(NftFamily family = NftFamily::kIp) : family_(family) {}

  NftRule& LoadAddress(Side side, int reg);
  NftRule& LoadAddressType(Side side, int reg);  // kLocalAddress and others
  NftRule& LoadProtocol(int reg);
  NftRule& LoadDestinationPort(int reg);
  NftRule& LoadInterfaceIn(int reg);   // four registers
  NftRule& LoadInterfaceOut(int reg);  // four registers
  NftRule& LoadConnection(Connection part, int reg);
  NftRule& LoadRandom(int reg, uint32_t below, uint32_t offset);

  NftRule& Equals(int reg, std::span<const uint8_t> bytes, bool equal = true);
  NftRule& AddressIn(Side side, const Cidr& cidr, bool inside = true);
  NftRule& AddressTypeIsLocal(Side side, bool local = true);
  NftRule& ProtocolIs(uint8_t protocol);
  NftRule& InterfaceOutIs(std::string_view name, bool equal = true);
  NftRule& InterfaceInIs(std::string_view name, bool equal = true);
  NftRule& PortBetween(int reg, uint16_t first, uint16_t last);
  NftRule& ConnectionIsInvalid();
  NftRule& MarkHas(uint32_t bit);
  NftRule& InSet(std::string_view set, int reg, bool inside = true);

  // Looks the key that begins in `reg` up and loads what it maps to. Ends the rule where there is
  // none. What was loaded must not be (part of) a key again: nft(8) aborts when it lists such a
  // rule.
  NftRule& Map(std::string_view map, int reg, int into);
  // The same with a map of verdicts: goes there.
  NftRule& VerdictMap(std::string_view map, int reg);
  // Adds the key that begins in `reg` to a dynamic set, or, where it is there already, starts its
  // timeout anew.
  NftRule& Remember(std::string_view set, int reg, uint32_t timeout_seconds);

  NftRule& SetMarkBit(uint32_t bit);
  NftRule& ClearMarkBit(uint32_t bit);
  NftRule& Dnat(int ip_reg, int port_reg);
  NftRule& Masquerade();
  NftRule& RejectWithReset();
  NftRule& RejectPortUnreachable();
  NftRule& Goto(std::string_view chain);
  NftRule& Jump(std::string_view chain);
  NftRule& Return();
  NftRule& Accept();
  NftRule& Drop();

  static constexpr uint32_t kLocalAddress = 2;  // RTN_LOCAL

 private:
  friend class NftBatch;
  template <class Fill>
  NftRule& Expression(std::string_view name, Fill fill);
  NftRule& Compare(int reg, uint32_t operation, std::span<const uint8_t> bytes);
  NftRule& Verdict(int32_t code, std::string_view chain);
  NftRule& ChangeMark(uint32_t mask, uint32_t set);

  NftFamily family_;
  MessageWriter expressions_;
};

// Changes to nf_tables of one family, made all at once or not at all. Threading: one thread at a
// time.
class NftBatch {
 public:
  explicit NftBatch(NftFamily family = NftFamily::kIp);

  void AddTable(const std::string& table);
  // The table must be there: AddTable before it in the same batch makes sure.
  void DeleteTable(const std::string& table);
  void AddSet(const std::string& table, const NftSet& set);
  void DeleteSet(const std::string& table, const std::string& set);  // no rule may use it
  void AddChain(const std::string& table, const std::string& chain);
  void AddNatChain(const std::string& table, const std::string& chain, NftHook hook, int priority);
  void AddFilterChain(const std::string& table, const std::string& chain, NftHook hook,
                      int priority);
  void DeleteRules(const std::string& table, const std::string& chain);  // all of the chain's
  void DeleteChain(const std::string& table, const std::string& chain);  // with its rules
  void AddRule(const std::string& table, const std::string& chain, NftRule& rule);
  void AddElements(const std::string& table, const std::string& set,
                   std::span<const NftElement> elements);
  void DeleteElements(const std::string& table, const std::string& set,
                      std::span<const NftElement> elements);

  bool empty() const { return changes_ == 0; }
  // Errors name the part of the batch that the kernel refused. The batch is used up.
  Status Commit(NetlinkSocket& socket);

 private:
  void Start(uint16_t message, uint16_t flags, std::string what);
  void AddBaseChain(const std::string& table, const std::string& chain, std::string_view type,
                    NftHook hook, int priority);
  void ChangeElements(uint16_t message, const std::string& table, const std::string& set,
                      std::span<const NftElement> elements);

  NftFamily family_;
  MessageWriter messages_;
  std::vector<std::string> what_;  // by sequence number
  uint32_t next_set_id_ = 0;
  int changes_ = 0;
};

// The names of all tables of a family.
Result<std::vector<std::string>> ListNftTables(NetlinkSocket& socket,
                                               NftFamily family = NftFamily::kIp);
// Calls `each` with the key and data of every element of a map. A set that is not there has none.
Status ForEachNftElement(
    NetlinkSocket& socket, const std::string& table, const std::string& set,
    const std::function<void(std::span<const uint8_t> key, std::span<const uint8_t> data)>& each,
    NftFamily family = NftFamily::kIp);
Result<NetlinkSocket> OpenNftSocket();

}  // namespace gantry::net

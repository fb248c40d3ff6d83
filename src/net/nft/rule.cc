#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <net/if.h>

#include <cstring>

#include "net/nft/batch.h"

namespace gantry::net {
namespace {

constexpr uint8_t kIcmpPortUnreachable = 3;
constexpr uint8_t kIcmp6PortUnreachable = 4;

// Where the addresses stand in the header of a packet.
struct AddressPlace {
  uint32_t source, destination, size;
};
constexpr AddressPlace PlaceOf(NftFamily family) {
  return family == NftFamily::kIp ? AddressPlace{12, 16, 4} : AddressPlace{8, 24, 16};
}

uint32_t Register(int reg) { return static_cast<uint32_t>(NFT_REG32_00 + reg); }

std::span<const uint8_t> Bytes(const uint32_t& value) {
  return {reinterpret_cast<const uint8_t*>(&value), sizeof(value)};
}

}  // namespace

template <class Fill>
NftRule& NftRule::Expression(std::string_view name, Fill fill) {
  expressions_.Nest(NFTA_LIST_ELEM, [&] {
    expressions_.PutString(NFTA_EXPR_NAME, name);
    expressions_.Nest(NFTA_EXPR_DATA, fill);
  });
  return *this;
}

NftRule& NftRule::LoadAddress(Side side, int reg) {
  const AddressPlace place = PlaceOf(family_);
  return Expression("payload", [&] {
    expressions_.PutBe32(NFTA_PAYLOAD_DREG, Register(reg));
    expressions_.PutBe32(NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
    expressions_.PutBe32(NFTA_PAYLOAD_OFFSET,
                         side == Side::kSource ? place.source : place.destination);
    expressions_.PutBe32(NFTA_PAYLOAD_LEN, place.size);
  });
}

NftRule& NftRule::LoadAddressType(Side side, int reg) {
  return Expression("fib", [&] {
    expressions_.PutBe32(NFTA_FIB_DREG, Register(reg));
    expressions_.PutBe32(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
    expressions_.PutBe32(NFTA_FIB_FLAGS,
                         side == Side::kSource ? NFTA_FIB_F_SADDR : NFTA_FIB_F_DADDR);
  });
}

NftRule& NftRule::LoadProtocol(int reg) {
  return Expression("meta", [&] {
    expressions_.PutBe32(NFTA_META_KEY, NFT_META_L4PROTO);
    expressions_.PutBe32(NFTA_META_DREG, Register(reg));
  });
}

NftRule& NftRule::LoadDestinationPort(int reg) {
  return Expression("payload", [&] {
    expressions_.PutBe32(NFTA_PAYLOAD_DREG, Register(reg));
    expressions_.PutBe32(NFTA_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER);
    expressions_.PutBe32(NFTA_PAYLOAD_OFFSET, 2);
    expressions_.PutBe32(NFTA_PAYLOAD_LEN, 2);
  });
}

NftRule& NftRule::LoadInterfaceIn(int reg) {
  return Expression("meta", [&] {
    expressions_.PutBe32(NFTA_META_KEY, NFT_META_IIFNAME);
    expressions_.PutBe32(NFTA_META_DREG, Register(reg));
  });
}

NftRule& NftRule::LoadInterfaceOut(int reg) {
  return Expression("meta", [&] {
    expressions_.PutBe32(NFTA_META_KEY, NFT_META_OIFNAME);
    expressions_.PutBe32(NFTA_META_DREG, Register(reg));
  });
}

NftRule& NftRule::LoadConnection(Connection part, int reg) {
  const bool v4 = family_ == NftFamily::kIp;
  uint32_t key = NFT_CT_PROTOCOL;
  if (part == Connection::kClient || part == Connection::kServer)
    key = v4 ? NFT_CT_SRC_IP : NFT_CT_SRC_IP6;
  if (part == Connection::kServerPort) key = NFT_CT_PROTO_SRC;
  // The sender of the answers is the real server.
  const bool of_answers = part == Connection::kServer || part == Connection::kServerPort;
  return Expression("ct", [&] {
    expressions_.PutBe32(NFTA_CT_DREG, Register(reg));
    expressions_.PutBe32(NFTA_CT_KEY, key);
    if (part != Connection::kProtocol)
      expressions_.PutU8(NFTA_CT_DIRECTION, of_answers ? IP_CT_DIR_REPLY : IP_CT_DIR_ORIGINAL);
  });
}

NftRule& NftRule::LoadRandom(int reg, uint32_t below, uint32_t offset) {
  return Expression("numgen", [&] {
    expressions_.PutBe32(NFTA_NG_DREG, Register(reg));
    expressions_.PutBe32(NFTA_NG_MODULUS, below);
    expressions_.PutBe32(NFTA_NG_TYPE, NFT_NG_RANDOM);
    expressions_.PutBe32(NFTA_NG_OFFSET, offset);
  });
}

NftRule& NftRule::Compare(int reg, uint32_t operation, std::span<const uint8_t> bytes) {
  return Expression("cmp", [&] {
    expressions_.PutBe32(NFTA_CMP_SREG, Register(reg));
    expressions_.PutBe32(NFTA_CMP_OP, operation);
    expressions_.Nest(NFTA_CMP_DATA, [&] { expressions_.Put(NFTA_DATA_VALUE, bytes); });
  });
}

NftRule& NftRule::Equals(int reg, std::span<const uint8_t> bytes, bool equal) {
  return Compare(reg, equal ? NFT_CMP_EQ : NFT_CMP_NEQ, bytes);
}

NftRule& NftRule::PortBetween(int reg, uint16_t first, uint16_t last) {
  auto bytes = [](uint16_t port) {
    return std::array<uint8_t, 2>{static_cast<uint8_t>(port >> 8), static_cast<uint8_t>(port)};
  };
  if (first == last) return Compare(reg, NFT_CMP_EQ, bytes(first));
  return Compare(reg, NFT_CMP_GTE, bytes(first)).Compare(reg, NFT_CMP_LTE, bytes(last));
}

NftRule& NftRule::ConnectionIsInvalid() {
  Expression("ct", [&] {
    expressions_.PutBe32(NFTA_CT_DREG, Register(0));
    expressions_.PutBe32(NFTA_CT_KEY, NFT_CT_STATE);
  });
  const uint32_t invalid = NF_CT_STATE_INVALID_BIT;
  return Equals(0, Bytes(invalid));
}

NftRule& NftRule::AddressIn(Side side, const Cidr& cidr, bool inside) {
  LoadAddress(side, 0);
  const unsigned size = cidr.address.size;
  if (cidr.prefix < size * 8) {
    std::array<uint8_t, 16> mask{};
    for (unsigned bit = 0; bit < cidr.prefix; ++bit)
      mask[bit / 8] |= static_cast<uint8_t>(0x80u >> (bit % 8));
    constexpr std::array<uint8_t, 16> kZero{};
    Expression("bitwise", [&] {
      expressions_.PutBe32(NFTA_BITWISE_SREG, Register(0));
      expressions_.PutBe32(NFTA_BITWISE_DREG, Register(0));
      expressions_.PutBe32(NFTA_BITWISE_LEN, size);
      auto put = [&](uint16_t attribute, const std::array<uint8_t, 16>& bits) {
        const std::span<const uint8_t> bytes(bits.data(), size);
        expressions_.Nest(attribute, [&] { expressions_.Put(NFTA_DATA_VALUE, bytes); });
      };
      put(NFTA_BITWISE_MASK, mask);
      put(NFTA_BITWISE_XOR, kZero);
    });
  }
  return Equals(0, cidr.address.raw(), inside);
}

NftRule& NftRule::AddressTypeIsLocal(Side side, bool local) {
  LoadAddressType(side, 0);
  return Equals(0, Bytes(kLocalAddress), local);
}

NftRule& NftRule::ProtocolIs(uint8_t protocol) {
  LoadProtocol(0);
  return Equals(0, {&protocol, 1});
}

NftRule& NftRule::InterfaceOutIs(std::string_view name, bool equal) {
  LoadInterfaceOut(0);
  std::array<uint8_t, IFNAMSIZ> padded{};
  std::memcpy(padded.data(), name.data(), std::min<size_t>(name.size(), IFNAMSIZ - 1));
  return Equals(0, padded, equal);
}

NftRule& NftRule::InterfaceInIs(std::string_view name, bool equal) {
  LoadInterfaceIn(0);
  std::array<uint8_t, IFNAMSIZ> padded{};
  std::memcpy(padded.data(), name.data(), std::min<size_t>(name.size(), IFNAMSIZ - 1));
  return Equals(0, padded, equal);
}

NftRule& NftRule::MarkHas(uint32_t bit) {
  Expression("meta", [&] {
    expressions_.PutBe32(NFTA_META_KEY, NFT_META_MARK);
    expressions_.PutBe32(NFTA_META_DREG, Register(0));
  });
  const uint32_t zero = 0;
  Expression("bitwise", [&] {
    expressions_.PutBe32(NFTA_BITWISE_SREG, Register(0));
    expressions_.PutBe32(NFTA_BITWISE_DREG, Register(0));
    expressions_.PutBe32(NFTA_BITWISE_LEN, 4);
    expressions_.Nest(NFTA_BITWISE_MASK, [&] { expressions_.Put(NFTA_DATA_VALUE, Bytes(bit)); });
    expressions_.Nest(NFTA_BITWISE_XOR, [&] { expressions_.Put(NFTA_DATA_VALUE, Bytes(zero)); });
  });
  return Equals(0, Bytes(bit));
}

NftRule& NftRule::InSet(std::string_view set, int reg, bool inside) {
  return Expression("lookup", [&] {
    expressions_.PutString(NFTA_LOOKUP_SET, set);
    expressions_.PutBe32(NFTA_LOOKUP_SREG, Register(reg));
    if (!inside) expressions_.PutBe32(NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
  });
}

NftRule& NftRule::Map(std::string_view map, int reg, int into) {
  return Expression("lookup", [&] {
    expressions_.PutString(NFTA_LOOKUP_SET, map);
    expressions_.PutBe32(NFTA_LOOKUP_SREG, Register(reg));
    expressions_.PutBe32(NFTA_LOOKUP_DREG, Register(into));
  });
}

NftRule& NftRule::VerdictMap(std::string_view map, int reg) {
  return Expression("lookup", [&] {
    expressions_.PutString(NFTA_LOOKUP_SET, map);
    expressions_.PutBe32(NFTA_LOOKUP_SREG, Register(reg));
    expressions_.PutBe32(NFTA_LOOKUP_DREG, NFT_REG_VERDICT);
  });
}

NftRule& NftRule::Remember(std::string_view set, int reg, uint32_t timeout_seconds) {
  return Expression("dynset", [&] {
    expressions_.PutString(NFTA_DYNSET_SET_NAME, set);
    expressions_.PutBe32(NFTA_DYNSET_OP, NFT_DYNSET_OP_UPDATE);
    expressions_.PutBe32(NFTA_DYNSET_SREG_KEY, Register(reg));
    expressions_.PutBe64(NFTA_DYNSET_TIMEOUT, uint64_t{timeout_seconds} * 1000);
  });
}

NftRule& NftRule::ChangeMark(uint32_t mask, uint32_t set) {
  Expression("meta", [&] {
    expressions_.PutBe32(NFTA_META_KEY, NFT_META_MARK);
    expressions_.PutBe32(NFTA_META_DREG, Register(0));
  });
  Expression("bitwise", [&] {
    expressions_.PutBe32(NFTA_BITWISE_SREG, Register(0));
    expressions_.PutBe32(NFTA_BITWISE_DREG, Register(0));
    expressions_.PutBe32(NFTA_BITWISE_LEN, 4);
    expressions_.Nest(NFTA_BITWISE_MASK, [&] { expressions_.Put(NFTA_DATA_VALUE, Bytes(mask)); });
    expressions_.Nest(NFTA_BITWISE_XOR, [&] { expressions_.Put(NFTA_DATA_VALUE, Bytes(set)); });
  });
  return Expression("meta", [&] {
    expressions_.PutBe32(NFTA_META_KEY, NFT_META_MARK);
    expressions_.PutBe32(NFTA_META_SREG, Register(0));
  });
}

NftRule& NftRule::SetMarkBit(uint32_t bit) { return ChangeMark(~bit, bit); }

NftRule& NftRule::ClearMarkBit(uint32_t bit) { return ChangeMark(~bit, 0); }

NftRule& NftRule::Dnat(int ip_reg, int port_reg) {
  return Expression("nat", [&] {
    expressions_.PutBe32(NFTA_NAT_TYPE, NFT_NAT_DNAT);
    expressions_.PutBe32(NFTA_NAT_FAMILY, static_cast<uint32_t>(family_));
    expressions_.PutBe32(NFTA_NAT_REG_ADDR_MIN, Register(ip_reg));
    expressions_.PutBe32(NFTA_NAT_REG_PROTO_MIN, Register(port_reg));
  });
}

NftRule& NftRule::Masquerade() {
  return Expression(
      "masq", [&] { expressions_.PutBe32(NFTA_MASQ_FLAGS, NF_NAT_RANGE_PROTO_RANDOM_FULLY); });
}

NftRule& NftRule::RejectWithReset() {
  return Expression("reject", [&] { expressions_.PutBe32(NFTA_REJECT_TYPE, NFT_REJECT_TCP_RST); });
}

NftRule& NftRule::RejectPortUnreachable() {
  return Expression("reject", [&] {
    expressions_.PutBe32(NFTA_REJECT_TYPE, NFT_REJECT_ICMP_UNREACH);
    expressions_.PutU8(NFTA_REJECT_ICMP_CODE,
                       family_ == NftFamily::kIp ? kIcmpPortUnreachable : kIcmp6PortUnreachable);
  });
}

NftRule& NftRule::Verdict(int32_t code, std::string_view chain) {
  return Expression("immediate", [&] {
    expressions_.PutBe32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    expressions_.Nest(NFTA_IMMEDIATE_DATA, [&] {
      expressions_.Nest(NFTA_DATA_VERDICT, [&] {
        expressions_.PutBe32(NFTA_VERDICT_CODE, static_cast<uint32_t>(code));
        if (!chain.empty()) expressions_.PutString(NFTA_VERDICT_CHAIN, chain);
      });
    });
  });
}

NftRule& NftRule::Goto(std::string_view chain) { return Verdict(NFT_GOTO, chain); }
NftRule& NftRule::Jump(std::string_view chain) { return Verdict(NFT_JUMP, chain); }
NftRule& NftRule::Return() { return Verdict(NFT_RETURN, {}); }
NftRule& NftRule::Accept() { return Verdict(NF_ACCEPT, {}); }
NftRule& NftRule::Drop() { return Verdict(NF_DROP, {}); }

}  // namespace gantry::net

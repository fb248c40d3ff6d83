#include "net/nft/batch.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace gantry::net {
namespace {

// A nested list must stay below 64 KiB.
constexpr size_t kElementsPerMessage = 400;
constexpr uint32_t kAcceptPolicy = NF_ACCEPT;

nfgenmsg Header(NftFamily family, uint16_t resource = 0) {
  nfgenmsg header{};
  header.nfgen_family = static_cast<uint8_t>(family);
  header.version = NFNETLINK_V0;
  header.res_id = __builtin_bswap16(resource);
  return header;
}

constexpr uint16_t MessageType(uint16_t message) { return NFNL_SUBSYS_NFTABLES << 8 | message; }

uint32_t JoinedType(std::span<const NftType> fields) {
  uint32_t joined = 0;
  for (NftType field : fields)
    joined = joined << 6 | static_cast<uint32_t>(field);
  return joined;
}

uint32_t JoinedSize(std::span<const NftType> fields) {
  int registers = 0;
  for (NftType field : fields)
    registers += RegistersOf(field);
  return static_cast<uint32_t>(registers * 4);
}

}  // namespace

NftBytes& NftBytes::Field(std::span<const uint8_t> field) {
  GANTRY_CHECK(size_ + ((field.size() + 3) & ~size_t{3}) <= bytes_.size(), "set element too long");
  std::memcpy(bytes_.data() + size_, field.data(), field.size());
  size_ = static_cast<uint8_t>(size_ + ((field.size() + 3) & ~size_t{3}));
  return *this;
}

NftBytes& NftBytes::Port(uint16_t port) {
  uint8_t field[2] = {static_cast<uint8_t>(port >> 8), static_cast<uint8_t>(port)};
  return Field(field);
}

NftBytes& NftBytes::Number(uint32_t value) {
  return Field({reinterpret_cast<const uint8_t*>(&value), sizeof(value)});
}

NftBatch::NftBatch(NftFamily family) : family_(family) {
  what_.emplace_back("begin a batch");
  messages_.Begin(NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, 0);
  messages_.PutHeader(Header(family_, NFNL_SUBSYS_NFTABLES));
}

void NftBatch::Start(uint16_t message, uint16_t flags, std::string what) {
  ++changes_;
  messages_.Begin(MessageType(message), static_cast<uint16_t>(NLM_F_REQUEST | flags),
                  static_cast<uint32_t>(what_.size()));
  messages_.PutHeader(Header(family_));
  what_.push_back(std::move(what));
}

void NftBatch::AddTable(const std::string& table) {
  Start(NFT_MSG_NEWTABLE, NLM_F_CREATE, "add table " + table);
  messages_.PutString(NFTA_TABLE_NAME, table);
}

void NftBatch::DeleteTable(const std::string& table) {
  Start(NFT_MSG_DELTABLE, 0, "delete table " + table);
  messages_.PutString(NFTA_TABLE_NAME, table);
}

void NftBatch::AddSet(const std::string& table, const NftSet& set) {
  Start(NFT_MSG_NEWSET, NLM_F_CREATE, "add set " + set.name + " to table " + table);
  messages_.PutString(NFTA_SET_TABLE, table);
  messages_.PutString(NFTA_SET_NAME, set.name);
  uint32_t flags = 0;
  if (set.verdicts || !set.data.empty()) flags |= NFT_SET_MAP;
  if (set.interval) flags |= NFT_SET_INTERVAL;
  if (set.dynamic) flags |= NFT_SET_EVAL | NFT_SET_TIMEOUT;
  messages_.PutBe32(NFTA_SET_FLAGS, flags);
  messages_.PutBe32(NFTA_SET_KEY_TYPE, JoinedType(set.key));
  messages_.PutBe32(NFTA_SET_KEY_LEN, JoinedSize(set.key));
  if (set.verdicts) {
    messages_.PutBe32(NFTA_SET_DATA_TYPE, NFT_DATA_VERDICT);
  } else if (!set.data.empty()) {
    messages_.PutBe32(NFTA_SET_DATA_TYPE, JoinedType(set.data));
    messages_.PutBe32(NFTA_SET_DATA_LEN, JoinedSize(set.data));
  }
  messages_.PutBe32(NFTA_SET_ID, ++next_set_id_);
  if (set.limit > 0) {
    messages_.Nest(NFTA_SET_DESC, [&] { messages_.PutBe32(NFTA_SET_DESC_SIZE, set.limit); });
  }
}

void NftBatch::DeleteSet(const std::string& table, const std::string& set) {
  Start(NFT_MSG_DELSET, 0, "delete set " + set + " of table " + table);
  messages_.PutString(NFTA_SET_TABLE, table);
  messages_.PutString(NFTA_SET_NAME, set);
}

void NftBatch::AddChain(const std::string& table, const std::string& chain) {
  Start(NFT_MSG_NEWCHAIN, NLM_F_CREATE, "add chain " + chain + " to table " + table);
  messages_.PutString(NFTA_CHAIN_TABLE, table);
  messages_.PutString(NFTA_CHAIN_NAME, chain);
}

void NftBatch::AddBaseChain(const std::string& table, const std::string& chain,
                            std::string_view type, NftHook hook, int priority) {
  AddChain(table, chain);
  messages_.Nest(NFTA_CHAIN_HOOK, [&] {
    messages_.PutBe32(NFTA_HOOK_HOOKNUM, static_cast<uint32_t>(hook));
    messages_.PutBe32(NFTA_HOOK_PRIORITY, static_cast<uint32_t>(priority));
  });
  messages_.PutBe32(NFTA_CHAIN_POLICY, kAcceptPolicy);
  messages_.PutString(NFTA_CHAIN_TYPE, type);
}

void NftBatch::AddNatChain(const std::string& table, const std::string& chain, NftHook hook,
                           int priority) {
  AddBaseChain(table, chain, "nat", hook, priority);
}

void NftBatch::AddFilterChain(const std::string& table, const std::string& chain, NftHook hook,
                              int priority) {
  AddBaseChain(table, chain, "filter", hook, priority);
}

void NftBatch::DeleteRules(const std::string& table, const std::string& chain) {
  Start(NFT_MSG_DELRULE, 0, "empty chain " + chain + " of table " + table);
  messages_.PutString(NFTA_RULE_TABLE, table);
  messages_.PutString(NFTA_RULE_CHAIN, chain);
}

void NftBatch::DeleteChain(const std::string& table, const std::string& chain) {
  DeleteRules(table, chain);
  Start(NFT_MSG_DELCHAIN, 0, "delete chain " + chain + " of table " + table);
  messages_.PutString(NFTA_CHAIN_TABLE, table);
  messages_.PutString(NFTA_CHAIN_NAME, chain);
}

void NftBatch::AddRule(const std::string& table, const std::string& chain, NftRule& rule) {
  Start(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND,
        "add a rule to chain " + chain + " of table " + table);
  messages_.PutString(NFTA_RULE_TABLE, table);
  messages_.PutString(NFTA_RULE_CHAIN, chain);
  std::span<const char> expressions = rule.expressions_.Finish();
  messages_.Put(NFTA_RULE_EXPRESSIONS | NLA_F_NESTED,
                {reinterpret_cast<const uint8_t*>(expressions.data()), expressions.size()});
}

void NftBatch::ChangeElements(uint16_t message, const std::string& table, const std::string& set,
                              std::span<const NftElement> elements) {
  const bool add = message == NFT_MSG_NEWSETELEM;
  for (size_t first = 0; first < elements.size(); first += kElementsPerMessage) {
    Start(message, add ? NLM_F_CREATE : 0,
          (add ? "add elements to " : "delete elements of ") + set + " in table " + table);
    messages_.PutString(NFTA_SET_ELEM_LIST_TABLE, table);
    messages_.PutString(NFTA_SET_ELEM_LIST_SET, set);
    size_t list = messages_.OpenNest(NFTA_SET_ELEM_LIST_ELEMENTS);
    for (const NftElement& element :
         elements.subspan(first, std::min(kElementsPerMessage, elements.size() - first))) {
      messages_.Nest(NFTA_LIST_ELEM, [&] {
        messages_.Nest(NFTA_SET_ELEM_KEY,
                       [&] { messages_.Put(NFTA_DATA_VALUE, element.key.view()); });
        if (element.ends_interval)
          messages_.PutBe32(NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
        if (!add) return;
        if (element.timeout_seconds > 0) {
          messages_.PutBe64(NFTA_SET_ELEM_TIMEOUT, uint64_t{element.timeout_seconds} * 1000);
        }
        if (!element.goto_chain.empty()) {
          messages_.Nest(NFTA_SET_ELEM_DATA, [&] {
            messages_.Nest(NFTA_DATA_VERDICT, [&] {
              messages_.PutBe32(NFTA_VERDICT_CODE, static_cast<uint32_t>(NFT_GOTO));
              messages_.PutString(NFTA_VERDICT_CHAIN, element.goto_chain);
            });
          });
        } else if (!element.data.view().empty()) {
          messages_.Nest(NFTA_SET_ELEM_DATA,
                         [&] { messages_.Put(NFTA_DATA_VALUE, element.data.view()); });
        }
      });
    }
    messages_.CloseNest(list);
  }
}

void NftBatch::AddElements(const std::string& table, const std::string& set,
                           std::span<const NftElement> elements) {
  ChangeElements(NFT_MSG_NEWSETELEM, table, set, elements);
}

void NftBatch::DeleteElements(const std::string& table, const std::string& set,
                              std::span<const NftElement> elements) {
  ChangeElements(NFT_MSG_DELSETELEM, table, set, elements);
}

Status NftBatch::Commit(NetlinkSocket& socket) {
  messages_.Begin(NFNL_MSG_BATCH_END, NLM_F_REQUEST, static_cast<uint32_t>(what_.size()));
  messages_.PutHeader(Header(family_, NFNL_SUBSYS_NFTABLES));
  what_.emplace_back("commit a batch");
  GANTRY_ASSIGN(NetlinkSocket::Failure failure, socket.SendBatch(messages_.Finish()));
  if (failure.error == 0) return Status::Ok();
  std::string what = failure.sequence < what_.size() ? what_[failure.sequence] : "change nf_tables";
  Status status = FromErrno(failure.error, "nf_tables: " + what);
  if (failure.error == EOPNOTSUPP || failure.error == EPROTONOSUPPORT) {
    return Status(status.code(), status.message() + " (the kernel lacks a feature of nf_tables)");
  }
  return status;
}

Result<NetlinkSocket> OpenNftSocket() { return NetlinkSocket::Open(NETLINK_NETFILTER); }

Result<std::vector<std::string>> ListNftTables(NetlinkSocket& socket, NftFamily family) {
  MessageWriter message;
  message.Begin(MessageType(NFT_MSG_GETTABLE), NLM_F_REQUEST | NLM_F_DUMP, socket.NextSequence());
  message.PutHeader(Header(family));
  std::vector<std::string> tables;
  GANTRY_TRY(socket.Dump(message, "list nf_tables", [&](uint16_t, std::span<const char> payload) {
    if (payload.size() < sizeof(nfgenmsg)) return;
    ForEachAttribute(payload.subspan(sizeof(nfgenmsg)),
                     [&](uint16_t type, std::span<const char> value) {
                       if (type == NFTA_TABLE_NAME && !value.empty())
                         tables.emplace_back(value.data(), value.size() - 1);
                     });
  }));
  return tables;
}

Status ForEachNftElement(
    NetlinkSocket& socket, const std::string& table, const std::string& set,
    const std::function<void(std::span<const uint8_t>, std::span<const uint8_t>)>& each,
    NftFamily family) {
  MessageWriter message;
  message.Begin(MessageType(NFT_MSG_GETSETELEM), NLM_F_REQUEST | NLM_F_DUMP, socket.NextSequence());
  message.PutHeader(Header(family));
  message.PutString(NFTA_SET_ELEM_LIST_TABLE, table);
  message.PutString(NFTA_SET_ELEM_LIST_SET, set);
  auto unwrap = [](std::span<const char> nested) {
    std::span<const uint8_t> bytes;
    ForEachAttribute(nested, [&](uint16_t type, std::span<const char> value) {
      if (type == NFTA_DATA_VALUE)
        bytes = {reinterpret_cast<const uint8_t*>(value.data()), value.size()};
    });
    return bytes;
  };
  Status status = socket.Dump(
      message, "list " + set + " of table " + table, [&](uint16_t, std::span<const char> payload) {
        if (payload.size() < sizeof(nfgenmsg)) return;
        ForEachAttribute(
            payload.subspan(sizeof(nfgenmsg)), [&](uint16_t type, std::span<const char> list) {
              if (type != NFTA_SET_ELEM_LIST_ELEMENTS) return;
              ForEachAttribute(list, [&](uint16_t, std::span<const char> element) {
                std::span<const uint8_t> key, data;
                ForEachAttribute(element, [&](uint16_t part, std::span<const char> value) {
                  if (part == NFTA_SET_ELEM_KEY) key = unwrap(value);
                  if (part == NFTA_SET_ELEM_DATA) data = unwrap(value);
                });
                each(key, data);
              });
            });
      });
  return status.code() == Code::kNotFound ? Status::Ok() : status;
}

}  // namespace gantry::net

-- A Wireshark dissector for Pilot Protocol: tunnel frames, packets, beacon messages, registry connections.
--
-- Put it into the folder "Personal Lua Plugins" (Help > About > Folders), or: tshark -X lua_script:pilot.lua ...
-- Sealed frames are opened with the keys of a key log (preference `pilot.keylog`): one key a line,
--     PILOT_KEY <suite> <key>
-- with the suite `aes-256-gcm` or `chacha20-poly1305` and 64 hexadecimal digits. Other lines are ignored. Whether a key is the right
-- one is told by the checksum of the packet inside. Works with Wireshark 3.4 to 4.x, whatever their version of Lua.

local bit = bit
local bxor, band, bor, lshift, rshift, bnot = bit.bxor, bit.band, bit.bor, bit.lshift, bit.rshift, bit.bnot

-- Bytes -----------------------------------------------------------------------------------------------------------

local function u32(x) return band(x, 0xffffffff) % 4294967296 end

local function from_hex(text)
    local bytes = {}
    for pair in text:gmatch("%x%x") do bytes[#bytes + 1] = tonumber(pair, 16) end
    return bytes
end

local function byte_array(bytes)
    local hex = {}
    for i, b in ipairs(bytes) do hex[i] = string.format("%02x", b) end
    return ByteArray.new(table.concat(hex))
end

-- CRC-32 (PKT-3) --------------------------------------------------------------------------------------------------

local crc_table = {}
for i = 0, 255 do
    local c = i
    for _ = 1, 8 do
        if band(c, 1) == 1 then c = bxor(rshift(c, 1), 0xedb88320) else c = rshift(c, 1) end
    end
    crc_table[i] = c
end

-- The checksum of a packet given as a function from offset to byte; the field itself counts as zero.
local function packet_checksum(byte, length)
    local c = 0xffffffff
    for i = 0, length - 1 do
        local b = (i >= 30 and i < 34) and 0 or byte(i)
        c = bxor(rshift(c, 8), crc_table[band(bxor(c, b), 0xff)])
    end
    return u32(bnot(c))
end

-- AES-256 in counter mode (FIPS 197, SP 800-38A) -------------------------------------------------------------------

local sbox = {}
do
    local p, q = 1, 1
    repeat
        p = band(bxor(p, lshift(p, 1), band(p, 0x80) ~= 0 and 0x1b or 0), 0xff)
        q = bxor(q, lshift(q, 1))
        q = bxor(q, lshift(q, 2))
        q = bxor(q, lshift(q, 4))
        q = band(q, 0xff)
        if band(q, 0x80) ~= 0 then q = bxor(q, 0x09) end
        local function rot(n) return band(bor(lshift(q, n), rshift(q, 8 - n)), 0xff) end
        sbox[p] = bxor(q, rot(1), rot(2), rot(3), rot(4), 0x63)
    until p == 1
    sbox[0] = 0x63
end

local function double(b) return band(bxor(lshift(b, 1), band(b, 0x80) ~= 0 and 0x1b or 0), 0xff) end

local function aes_expand(key)
    local w, rcon = {}, 1
    for i = 1, 32 do w[i] = key[i] end
    for i = 8, 59 do
        local t = { w[4 * i - 3], w[4 * i - 2], w[4 * i - 1], w[4 * i] }
        if i % 8 == 0 then
            t = { bxor(sbox[t[2]], rcon), sbox[t[3]], sbox[t[4]], sbox[t[1]] }
            rcon = double(rcon)
        elseif i % 8 == 4 then
            t = { sbox[t[1]], sbox[t[2]], sbox[t[3]], sbox[t[4]] }
        end
        for j = 1, 4 do w[4 * i + j] = bxor(w[4 * (i - 8) + j], t[j]) end
    end
    return w
end

local function aes_block(w, block)
    local s = {}
    for i = 1, 16 do s[i] = bxor(block[i], w[i]) end
    for round = 1, 14 do
        local t = {}
        for c = 0, 3 do
            for r = 0, 3 do t[4 * c + r + 1] = sbox[s[4 * ((c + r) % 4) + r + 1]] end
        end
        if round < 14 then
            for c = 0, 3 do
                local a, b, d, e = t[4 * c + 1], t[4 * c + 2], t[4 * c + 3], t[4 * c + 4]
                local all = bxor(a, b, d, e)
                t[4 * c + 1] = bxor(a, all, double(bxor(a, b)))
                t[4 * c + 2] = bxor(b, all, double(bxor(b, d)))
                t[4 * c + 3] = bxor(d, all, double(bxor(d, e)))
                t[4 * c + 4] = bxor(e, all, double(bxor(e, a)))
            end
        end
        for i = 1, 16 do s[i] = bxor(t[i], w[16 * round + i]) end
    end
    return s
end

-- What GCM encrypts with: counter blocks from 2 on.
local function aes_stream(w, nonce, length)
    local out = {}
    for n = 0, math.ceil(length / 16) - 1 do
        local block, counter = {}, n + 2
        for i = 1, 12 do block[i] = nonce[i] end
        for i = 16, 13, -1 do
            block[i] = counter % 256
            counter = math.floor(counter / 256)
        end
        for _, b in ipairs(aes_block(w, block)) do out[#out + 1] = b end
    end
    return out
end

-- ChaCha20 (RFC 8439) ---------------------------------------------------------------------------------------------

local function add(a, b) return (u32(a) + u32(b)) % 4294967296 end

local function rotl(x, n)
    x = u32(x)
    return u32(bor(lshift(x, n), rshift(x, 32 - n)))
end

local function chacha_words(bytes, from, count)
    local words = {}
    for i = 0, count - 1 do
        local o = from + 4 * i
        words[#words + 1] = bytes[o] + bytes[o + 1] * 256 + bytes[o + 2] * 65536 + bytes[o + 3] * 16777216
    end
    return words
end

local function chacha_stream(key, nonce, length)
    local out = {}
    local k, n = chacha_words(key, 1, 8), chacha_words(nonce, 1, 3)
    for block = 0, math.ceil(length / 64) - 1 do
        local start = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 }
        for i = 1, 8 do start[4 + i] = k[i] end
        start[13] = block + 1
        for i = 1, 3 do start[13 + i] = n[i] end
        local x = {}
        for i = 1, 16 do x[i] = start[i] end
        local function quarter(a, b, c, d)
            x[a] = add(x[a], x[b]); x[d] = rotl(bxor(x[d], x[a]), 16)
            x[c] = add(x[c], x[d]); x[b] = rotl(bxor(x[b], x[c]), 12)
            x[a] = add(x[a], x[b]); x[d] = rotl(bxor(x[d], x[a]), 8)
            x[c] = add(x[c], x[d]); x[b] = rotl(bxor(x[b], x[c]), 7)
        end
        for _ = 1, 10 do
            quarter(1, 5, 9, 13); quarter(2, 6, 10, 14); quarter(3, 7, 11, 15); quarter(4, 8, 12, 16)
            quarter(1, 6, 11, 16); quarter(2, 7, 12, 13); quarter(3, 8, 9, 14); quarter(4, 5, 10, 15)
        end
        for i = 1, 16 do
            local word = add(x[i], start[i])
            for _ = 1, 4 do
                out[#out + 1] = word % 256
                word = math.floor(word / 256)
            end
        end
    end
    return out
end

-- The key log -----------------------------------------------------------------------------------------------------

local pilot = Proto("pilot", "Pilot Protocol")
pilot.prefs.keylog = Pref.string("Key log", "", "File with the keys of sessions")
pilot.prefs.beacon = Pref.uint("Beacon UDP port", 9001, "Where datagrams below 0x10 are beacon messages")
pilot.prefs.tunnel = Pref.uint("Tunnel UDP port", 4000, "Where a daemon listens")
pilot.prefs.registry = Pref.uint("Registry TCP port", 9000, "Where registry connections go")
pilot.prefs.ipc = Pref.uint("Local socket TCP port", 0, "Where somebody relays a local socket; 0 is nowhere")

local keys, keys_from = {}, nil

local function load_keys()
    if keys_from == pilot.prefs.keylog then return end
    keys, keys_from = {}, pilot.prefs.keylog
    local file = keys_from ~= "" and io.open(keys_from, "r")
    if not file then return end
    for line in file:lines() do
        local suite, key = line:match("^PILOT_KEY%s+(%S+)%s+(%x+)")
        if key and #key == 64 then
            local bytes = from_hex(key)
            if suite == "aes-256-gcm" then
                local expanded = aes_expand(bytes)
                keys[#keys + 1] = { suite = suite, stream = function(n, l) return aes_stream(expanded, n, l) end }
            elseif suite == "chacha20-poly1305" then
                keys[#keys + 1] = { suite = suite, stream = function(n, l) return chacha_stream(bytes, n, l) end }
            end
        end
    end
    file:close()
end

-- Which key opened the last frame of a sender: tried first for the next.
local key_of = {}

local function opens(key, nonce, cipher, length)
    local head = key.stream(nonce, math.min(length, 34))
    local function byte(i, stream) return bxor(cipher(i), stream[i + 1]) end
    if length < 34 or rshift(byte(0, head), 4) ~= 1 then return nil end
    local payload = byte(2, head) * 256 + byte(3, head)
    if 34 + payload > length then return nil end
    local stream = key.stream(nonce, length)
    local said = 0
    for i = 30, 33 do said = said * 256 + byte(i, stream) end
    if packet_checksum(function(i) return byte(i, stream) end, 34 + payload) ~= said then return nil end
    local plain = {}
    for i = 0, length - 1 do plain[i + 1] = byte(i, stream) end
    return plain
end

-- Plaintext of a sealed frame, by whichever key opens it.
local function open(suite, sender, nonce, cipher, length)
    load_keys()
    local order = { key_of[sender] }
    for _, key in ipairs(keys) do order[#order + 1] = key end
    for _, key in pairs(order) do
        if key.suite == suite then
            local plain = opens(key, nonce, cipher, length)
            if plain then
                key_of[sender] = key
                return plain
            end
        end
    end
end

-- Fields ----------------------------------------------------------------------------------------------------------

local kinds = { [1] = "Register", [2] = "Your address", [3] = "Punch request", [4] = "Punch", [5] = "Relay",
    [6] = "Delivery", [7] = "Gossip", [10] = "Wake" }
local protocols = { [1] = "Stream", [2] = "Datagram", [3] = "Control" }

local f = {
    magic = ProtoField.string("pilot.magic", "Magic"),
    sender = ProtoField.uint32("pilot.sender", "Sender", base.DEC),
    x25519 = ProtoField.bytes("pilot.x25519", "X25519 key"),
    ed25519 = ProtoField.bytes("pilot.ed25519", "Ed25519 key"),
    signature = ProtoField.bytes("pilot.signature", "Signature"),
    prefix = ProtoField.bytes("pilot.nonce.prefix", "Nonce prefix"),
    counter = ProtoField.uint64("pilot.nonce.counter", "Counter", base.DEC),
    cipher = ProtoField.bytes("pilot.ciphertext", "Ciphertext"),
    tag = ProtoField.bytes("pilot.tag", "Tag"),
    decrypted = ProtoField.bool("pilot.decrypted", "Decrypted"),
    trailing = ProtoField.bytes("pilot.trailing", "Bytes after it"),
    version = ProtoField.uint8("pilot.version", "Version", base.DEC, nil, 0xf0),
    flags = ProtoField.uint8("pilot.flags", "Flags", base.HEX, nil, 0x0f),
    rst = ProtoField.bool("pilot.flags.rst", "RST", 8, nil, 0x08),
    fin = ProtoField.bool("pilot.flags.fin", "FIN", 8, nil, 0x04),
    ack_flag = ProtoField.bool("pilot.flags.ack", "ACK", 8, nil, 0x02),
    syn = ProtoField.bool("pilot.flags.syn", "SYN", 8, nil, 0x01),
    protocol = ProtoField.uint8("pilot.protocol", "Protocol", base.DEC, protocols),
    length = ProtoField.uint16("pilot.length", "Payload length", base.DEC),
    source = ProtoField.string("pilot.source", "Source"),
    source_node = ProtoField.uint32("pilot.source.node", "Source node", base.DEC),
    destination = ProtoField.string("pilot.destination", "Destination"),
    destination_node = ProtoField.uint32("pilot.destination.node", "Destination node", base.DEC),
    source_port = ProtoField.uint16("pilot.srcport", "Source port", base.DEC),
    destination_port = ProtoField.uint16("pilot.dstport", "Destination port", base.DEC),
    sequence = ProtoField.uint32("pilot.seq", "Sequence number", base.DEC),
    acknowledgment = ProtoField.uint32("pilot.ack", "Acknowledgment number", base.DEC),
    window = ProtoField.uint16("pilot.window", "Window (segments)", base.DEC),
    checksum = ProtoField.uint32("pilot.checksum", "Checksum", base.HEX),
    payload = ProtoField.bytes("pilot.payload", "Payload"),
    sack = ProtoField.string("pilot.sack", "SACK range"),
    kind = ProtoField.uint8("pilot.beacon", "Beacon message", base.DEC, kinds),
    node = ProtoField.uint32("pilot.beacon.node", "Node", base.DEC),
    target = ProtoField.uint32("pilot.beacon.target", "Target", base.DEC),
    ipv4 = ProtoField.ipv4("pilot.beacon.ipv4", "Address"),
    ipv6 = ProtoField.ipv6("pilot.beacon.ipv6", "Address"),
    port = ProtoField.uint16("pilot.beacon.port", "Port", base.DEC),
    json_length = ProtoField.uint32("pilot.registry.length", "Length", base.DEC),
}
pilot.fields = f

local e = {
    checksum = ProtoExpert.new("pilot.checksum.wrong", "Checksum does not match", expert.group.CHECKSUM, expert.severity.ERROR),
    short = ProtoExpert.new("pilot.short", "Shorter than its kind must be", expert.group.MALFORMED, expert.severity.ERROR),
}
pilot.experts = e

-- Packets ---------------------------------------------------------------------------------------------------------

local function address(range)
    local network, node = range(0, 2):uint(), range(2, 4):uint()
    local high = math.floor(node / 65536)
    return string.format("%d:%04X.%04X.%04X", network, network, high, node % 65536)
end

local function flag_names(flags)
    local names = {}
    for i, name in ipairs({ "SYN", "ACK", "FIN", "RST" }) do
        if band(flags, lshift(1, i - 1)) ~= 0 then names[#names + 1] = name end
    end
    return table.concat(names, ", ")
end

local function packet(tvb, pinfo, tree)
    local sub = tree:add(pilot, tvb(), "Pilot packet")
    if tvb:len() < 34 then
        sub:add_proto_expert_info(e.short)
        return
    end
    local flags, protocol, length = band(tvb(0, 1):uint(), 15), tvb(1, 1):uint(), tvb(2, 2):uint()
    sub:add(f.version, tvb(0, 1))
    local flag_tree = sub:add(f.flags, tvb(0, 1))
    for _, flag in ipairs({ f.syn, f.ack_flag, f.fin, f.rst }) do flag_tree:add(flag, tvb(0, 1)) end
    flag_tree:append_text(" (" .. flag_names(flags) .. ")")
    sub:add(f.protocol, tvb(1, 1))
    sub:add(f.length, tvb(2, 2))
    sub:add(f.source, tvb(4, 6), address(tvb(4, 6)))
    sub:add(f.source_node, tvb(6, 4))
    sub:add(f.destination, tvb(10, 6), address(tvb(10, 6)))
    sub:add(f.destination_node, tvb(12, 4))
    sub:add(f.source_port, tvb(16, 2))
    sub:add(f.destination_port, tvb(18, 2))
    sub:add(f.sequence, tvb(20, 4))
    sub:add(f.acknowledgment, tvb(24, 4))
    sub:add(f.window, tvb(28, 2))
    local checksum = sub:add(f.checksum, tvb(30, 4))
    if 34 + length > tvb:len() then
        sub:add_proto_expert_info(e.short)
        return
    end
    local computed = packet_checksum(function(i) return tvb(i, 1):uint() end, 34 + length)
    if computed == tvb(30, 4):uint() then
        checksum:append_text(" [correct]")
    else
        checksum:append_text(string.format(" [wrong, should be 0x%08x]", computed))
        checksum:add_proto_expert_info(e.checksum)
    end
    if length > 0 then
        local shown = sub:add(f.payload, tvb(34, length))
        local count = length >= 13 and tvb(38, 1):uint() or 0
        if protocol == 1 and flags == 2 and length >= 13 and tvb(34, 4):string() == "SACK"
            and count >= 1 and count <= 4 and length >= 5 + 8 * count then
            for i = 0, math.floor((length - 5) / 8) - 1 do
                local range = tvb(39 + 8 * i, 8)
                shown:add(f.sack, range, string.format("%d to %d", range(0, 4):uint(), range(4, 4):uint()))
            end
        end
    end
    if tvb:len() > 34 + length then sub:add(f.trailing, tvb(34 + length)) end
    local what = protocols[protocol] or ("protocol " .. protocol)
    local text = string.format("%s %d → %d", what, tvb(16, 2):uint(), tvb(18, 2):uint())
    if protocol == 1 then
        text = string.format("%s [%s] Seq=%d Ack=%d Win=%d", text, flag_names(flags), tvb(20, 4):uint(), tvb(24, 4):uint(), tvb(28, 2):uint())
    end
    pinfo.cols.info:append(string.format(" %s Len=%d", text, length))
end

-- Tunnel frames ---------------------------------------------------------------------------------------------------

local names = { PILT = "Plain", PILS = "Sealed", PILC = "Sealed (ChaCha20)", PILK = "Anonymous key exchange",
    PILA = "Key exchange", PILP = "Punch" }
local least = { PILT = 38, PILS = 36, PILC = 36, PILK = 40, PILA = 136, PILP = 4 }
local suites = { PILS = "aes-256-gcm", PILC = "chacha20-poly1305" }

local function frame(tvb, pinfo, tree)
    local magic = tvb:len() >= 4 and tvb(0, 4):string() or ""
    if not names[magic] then return false end
    local sub = tree:add(pilot, tvb(), "Pilot frame: " .. names[magic])
    sub:add(f.magic, tvb(0, 4))
    pinfo.cols.info:append(" " .. names[magic])
    if tvb:len() < least[magic] then
        sub:add_proto_expert_info(e.short)
        return true
    end
    if magic == "PILT" then
        packet(tvb(4):tvb(), pinfo, tree)
        return true
    end
    if magic == "PILP" then
        if tvb:len() > 4 then sub:add(f.trailing, tvb(4)) end
        return true
    end
    local sender = tvb(4, 4):uint()
    sub:add(f.sender, tvb(4, 4))
    pinfo.cols.info:append(" from " .. sender)
    if magic == "PILK" or magic == "PILA" then
        sub:add(f.x25519, tvb(8, 32))
        if magic == "PILA" then
            sub:add(f.ed25519, tvb(40, 32))
            sub:add(f.signature, tvb(72, 64))
        end
        if tvb:len() > least[magic] then sub:add(f.trailing, tvb(least[magic])) end
        return true
    end
    local length = tvb:len() - 36
    sub:add(f.prefix, tvb(8, 4))
    sub:add(f.counter, tvb(12, 8))
    if length > 0 then sub:add(f.cipher, tvb(20, length)) end
    sub:add(f.tag, tvb(20 + length, 16))
    local nonce = {}
    for i = 1, 12 do nonce[i] = tvb(7 + i, 1):uint() end
    local plain = open(suites[magic], sender, nonce, function(i) return tvb(20 + i, 1):uint() end, length)
    sub:add(f.decrypted, plain ~= nil):set_generated()
    if plain then packet(byte_array(plain):tvb("Packet"), pinfo, tree) end
    return true
end

-- Beacon messages -------------------------------------------------------------------------------------------------

local function beacon(tvb, pinfo, tree)
    local kind = tvb(0, 1):uint()
    if not kinds[kind] then return false end
    local sub = tree:add(pilot, tvb(), "Pilot beacon: " .. kinds[kind])
    sub:add(f.kind, tvb(0, 1))
    pinfo.cols.info:append(" " .. kinds[kind])
    local function need(length)
        if tvb:len() >= length then return true end
        sub:add_proto_expert_info(e.short)
        return false
    end
    if kind == 1 and need(5) then
        sub:add(f.node, tvb(1, 4))
        pinfo.cols.info:append(" node " .. tvb(1, 4):uint())
    elseif (kind == 2 or kind == 4) and need(2) then
        local size = tvb(1, 1):uint()
        if (size == 4 or size == 16) and need(4 + size) then
            sub:add(size == 4 and f.ipv4 or f.ipv6, tvb(2, size))
            sub:add(f.port, tvb(2 + size, 2))
        end
    elseif kind == 3 and need(9) then
        sub:add(f.node, tvb(1, 4))
        sub:add(f.target, tvb(5, 4))
        pinfo.cols.info:append(string.format(" %d → %d", tvb(1, 4):uint(), tvb(5, 4):uint()))
    elseif kind == 5 and need(9) then
        sub:add(f.node, tvb(1, 4))
        sub:add(f.target, tvb(5, 4))
        pinfo.cols.info:append(string.format(" %d → %d:", tvb(1, 4):uint(), tvb(5, 4):uint()))
        if tvb:len() > 9 then frame(tvb(9):tvb(), pinfo, tree) end
    elseif kind == 6 and need(5) then
        sub:add(f.node, tvb(1, 4))
        pinfo.cols.info:append(string.format(" from %d:", tvb(1, 4):uint()))
        if tvb:len() > 5 then frame(tvb(5):tvb(), pinfo, tree) end
    elseif kind == 7 and need(7) then
        sub:add(f.node, tvb(1, 4))
        for i = 0, tvb(5, 2):uint() - 1 do
            if 11 + 4 * i > tvb:len() then
                sub:add_proto_expert_info(e.short)
                break
            end
            sub:add(f.target, tvb(7 + 4 * i, 4))
        end
    end
    return true
end

function pilot.dissector(tvb, pinfo, tree)
    if tvb:len() == 0 then return 0 end
    pinfo.cols.protocol = "Pilot"
    pinfo.cols.info = ""
    local known = tvb(0, 1):uint() < 0x10 and beacon or frame
    return known(tvb, pinfo, tree) and tvb:len() or 0
end

pilot:register_heuristic("udp", function(tvb, pinfo, tree)
    if tvb:len() < 4 or not names[tvb(0, 4):string()] then return false end
    pilot.dissector(tvb, pinfo, tree)
    return true
end)

-- The registry ----------------------------------------------------------------------------------------------------

local registry = Proto("pilot_registry", "Pilot Registry")

-- A message and the length before it; several may be in one segment.
local function pdu_length(tvb, _, offset) return 4 + tvb(offset, 4):uint() end

local function message(tvb, pinfo, tree)
    pinfo.cols.protocol = "Pilot registry"
    local text = tvb(4):string()
    local kind = text:match('"type"%s*:%s*"([%w_]+)"') or "message"
    local sub = tree:add(registry, tvb(), "Pilot registry: " .. kind)
    sub:add(f.json_length, tvb(0, 4))
    pinfo.cols.info = kind
    Dissector.get("json"):call(tvb(4):tvb(), pinfo, tree)
    pinfo.cols.protocol = "Pilot registry"
    pinfo.cols.info = kind
    return tvb:len()
end

function registry.dissector(tvb, pinfo, tree)
    dissect_tcp_pdus(tvb, tree, 4, pdu_length, message)
    return tvb:len()
end

-- The local socket ------------------------------------------------------------------------------------------------

-- A Unix socket cannot be captured. Let `socat TCP-LISTEN:PORT,fork UNIX-CONNECT:/tmp/pilot.sock` pass it on, and name
-- the port in the preference `pilot.ipc`.
local ipc = Proto("pilot_ipc", "Pilot Local Socket")

local commands = { [0x01] = "Bind", [0x02] = "BindOk", [0x03] = "Dial", [0x04] = "DialOk", [0x05] = "Accept",
    [0x06] = "Send", [0x07] = "Recv", [0x08] = "Close", [0x09] = "CloseOk", [0x0a] = "Error", [0x0b] = "SendTo",
    [0x0c] = "RecvFrom", [0x0d] = "Info", [0x0e] = "InfoOk", [0x0f] = "Handshake", [0x10] = "HandshakeOk",
    [0x11] = "ResolveHostname", [0x12] = "ResolveHostnameOk", [0x13] = "SetHostname", [0x14] = "SetHostnameOk",
    [0x15] = "SetVisibility", [0x16] = "SetVisibilityOk", [0x17] = "Deregister", [0x18] = "DeregisterOk",
    [0x19] = "SetTags", [0x1a] = "SetTagsOk", [0x1b] = "SetWebhook", [0x1c] = "SetWebhookOk", [0x1d] = "SetTaskExec",
    [0x1e] = "SetTaskExecOk", [0x1f] = "Network", [0x20] = "NetworkOk", [0x21] = "Health", [0x22] = "HealthOk",
    [0x2b] = "CancelDials", [0x2d] = "PreferDirect", [0x2e] = "PreferDirectOk", [0x37] = "Unbind",
    [0x38] = "UnbindOk", [0x39] = "SendToConfirmed", [0x3a] = "SendToConfirmedOk", [0x61] = "Extend",
    [0x62] = "Extended", [0x63] = "Tagged", [0x64] = "TaggedAnswer", [0x65] = "Consumed", [0x66] = "Taken",
    [0x67] = "Finish", [0x68] = "Broken", [0x6a] = "Event" }
local handshakes = { "Request", "Approve", "Reject", "Pending", "Trusted", "Revoke", "Wait" }
local networks = { "List", "Join", "Leave", "Members", "Invite", "PollInvites", "Respond" }

local i = {
    length = ProtoField.uint32("pilot_ipc.length", "Length", base.DEC),
    command = ProtoField.uint8("pilot_ipc.command", "Command", base.HEX, commands),
    action = ProtoField.uint8("pilot_ipc.action", "Action", base.DEC),
    number = ProtoField.uint32("pilot_ipc.number", "Number", base.DEC),
    connection = ProtoField.uint32("pilot_ipc.connection", "Stream", base.DEC),
    bytes = ProtoField.uint32("pilot_ipc.bytes", "Bytes", base.DEC),
    window = ProtoField.uint32("pilot_ipc.window", "Window", base.DEC),
    flags = ProtoField.uint8("pilot_ipc.flags", "Flags", base.HEX),
    events = ProtoField.bool("pilot_ipc.flags.events", "Tell events", 8, nil, 0x01),
    port = ProtoField.uint16("pilot_ipc.port", "Port", base.DEC),
    address = ProtoField.string("pilot_ipc.address", "Address"),
    node = ProtoField.uint32("pilot_ipc.node", "Node", base.DEC),
    network = ProtoField.uint16("pilot_ipc.network", "Network", base.DEC),
    timeout = ProtoField.uint32("pilot_ipc.timeout", "Timeout (ms)", base.DEC),
    code = ProtoField.uint16("pilot_ipc.code", "Code", base.DEC),
    value = ProtoField.uint8("pilot_ipc.value", "Value", base.DEC),
    text = ProtoField.string("pilot_ipc.text", "Text"),
    data = ProtoField.bytes("pilot_ipc.data", "Data"),
}
ipc.fields = i
local ipc_short = ProtoExpert.new("pilot_ipc.short", "Shorter than its kind must be", expert.group.MALFORMED, expert.severity.ERROR)
ipc.experts = { ipc_short }

-- What follows a command byte: fields in order; the last may be "text", "data" or "body", which take the rest.
local connection, target = { "connection" }, { "address", "port" }
local payloads = { [0x01] = { "port" }, [0x02] = { "port" }, [0x03] = target, [0x04] = connection,
    [0x05] = { "port", "connection", "address", "port" }, [0x06] = { "connection", "data" },
    [0x07] = { "connection", "data" }, [0x08] = connection, [0x09] = connection, [0x0a] = { "code", "text" },
    [0x0b] = { "address", "port", "data" }, [0x0c] = { "address", "port", "port", "data" }, [0x15] = { "value" },
    [0x1d] = { "value" }, [0x2d] = { "node" }, [0x37] = { "port" }, [0x38] = { "port" },
    [0x39] = { "address", "port", "data" }, [0x61] = { "flags" }, [0x62] = { "window" }, [0x63] = { "number", "body" },
    [0x64] = { "number", "body" }, [0x65] = { "connection", "bytes" }, [0x66] = { "connection", "bytes" },
    [0x67] = connection, [0x68] = { "connection", "text" } }
local handshake_payloads = { { "node", "text" }, { "node" }, { "node", "text" }, {}, {}, { "node" }, { "node", "timeout" } }
local network_payloads = { {}, { "network", "text" }, { "network" }, { "network" }, { "network", "node" }, {},
    { "network", "value" } }
local sizes = { address = 6, port = 2, network = 2, code = 2, value = 1, flags = 1 }

local body

local function show(tvb, pinfo, sub, shape, shown)
    local at = 0
    for _, name in ipairs(shape) do
        local left = tvb:len() - at
        if name == "body" then
            if left > 0 then return body(tvb(at):tvb(), pinfo, sub, true) end
        elseif name == "text" or name == "data" then
            if left > 0 then sub:add(i[name], tvb(at)) end
        else
            local size = sizes[name] or 4
            if left < size then
                sub:add_proto_expert_info(ipc_short)
                return
            end
            local range = tvb(at, size)
            if name == "address" then
                sub:add(i.address, range, address(range))
            else
                local item = sub:add(i[name], range)
                if name == "flags" then item:add(i.events, range) end
                if name == "number" or name == "connection" then shown = string.format("%s %d", shown, range:uint()) end
            end
            at = at + size
        end
    end
    pinfo.cols.info:append(shown)
end

-- A command and its payload; `inner` when it stands in a Tagged one.
body = function(tvb, pinfo, tree, inner)
    local command = tvb(0, 1):uint()
    local name = commands[command] or string.format("command 0x%02x", command)
    local sub = tree:add(ipc, tvb(), "Pilot local socket: " .. name)
    sub:add(i.command, tvb(0, 1))
    local shape, rest, shown = payloads[command], 1, (inner and ": " or " ") .. name
    if command == 0x0f or command == 0x1f then
        if tvb:len() < 2 then
            sub:add_proto_expert_info(ipc_short)
            return
        end
        local action = tvb(1, 1):uint()
        local known = command == 0x0f and handshakes or networks
        sub:add(i.action, tvb(1, 1)):append_text(" (" .. (known[action] or "unknown") .. ")")
        shown = shown .. " " .. (known[action] or action)
        shape, rest = (command == 0x0f and handshake_payloads or network_payloads)[action], 2
    end
    shape = shape or (commands[command] and { "text" } or { "data" })
    if inner and (command == 0x63 or command == 0x64) then shape = { "number", "data" } end
    if tvb:len() > rest then
        show(tvb(rest):tvb(), pinfo, sub, shape, shown)
    else
        if #shape > 0 and shape[1] ~= "text" and shape[1] ~= "data" then sub:add_proto_expert_info(ipc_short) end
        pinfo.cols.info:append(shown)
    end
end

local function ipc_message(tvb, pinfo, tree)
    pinfo.cols.protocol = "Pilot local"
    tree:add(ipc, tvb(0, 4), "Pilot local socket"):add(i.length, tvb(0, 4))
    if tvb:len() > 4 then body(tvb(4):tvb(), pinfo, tree, false) end
    return tvb:len()
end

function ipc.dissector(tvb, pinfo, tree)
    pinfo.cols.info = ""
    dissect_tcp_pdus(tvb, tree, 4, pdu_length, ipc_message)
    return tvb:len()
end

-- Ports -----------------------------------------------------------------------------------------------------------

local ports = {}
local function listen()
    for _, p in ipairs(ports) do DissectorTable.get(p.table):remove(p.port, p.proto) end
    ports = {
        { table = "udp.port", port = pilot.prefs.beacon, proto = pilot },
        { table = "udp.port", port = pilot.prefs.tunnel, proto = pilot },
        { table = "tcp.port", port = pilot.prefs.registry, proto = registry },
    }
    if pilot.prefs.ipc > 0 then ports[#ports + 1] = { table = "tcp.port", port = pilot.prefs.ipc, proto = ipc } end
    for _, p in ipairs(ports) do DissectorTable.get(p.table):add(p.port, p.proto) end
end

function pilot.prefs_changed() listen() end
function pilot.init() key_of, keys_from = {}, nil end
listen()

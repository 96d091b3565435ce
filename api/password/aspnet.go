package password

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
)

// ASP.NET Core Identity, version 2: a zero byte, 16 bytes of salt and 32 of a key from PBKDF2 with 1000 iterations.
const (
	aspnetV2Iterations = 1000
	aspnetV2Salt       = 16
	aspnetV2Key        = 32
	aspnetV3Header     = 13 // format, function, iterations, length of the salt
	minASPNETSalt      = 16
	maxASPNETSalt      = 128
)

// aspnetDigests are the names of the hash functions of version 3 by their numbers.
var aspnetDigests = []string{"sha1", "sha256", "sha512"}

// parseASPNET reads a hash of ASP.NET Identity: base64 of a blob whose first byte is its version, bare or behind $aspnet$.
func parseASPNET(text string) (*checker, error) {
	blob, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "$aspnet$"))
	switch {
	case err != nil || strings.ContainsAny(text, "\r\n") || len(blob) == 0:
	case blob[0] == 0 && len(blob) == 1+aspnetV2Salt+aspnetV2Key:
		return checkPBKDF2(sha1.New, aspnetV2Iterations, blob[1:1+aspnetV2Salt], blob[1+aspnetV2Salt:])
	case blob[0] == 1 && len(blob) > aspnetV3Header:
		return parseASPNETv3(blob)
	}
	return nil, errors.New("the password hash is not of ASP.NET Identity, version 2 or 3")
}

// parseASPNETv3 reads version 3: a byte 1, then as big-endian numbers of four bytes the hash function, the iterations and
// the length of the salt; then salt and key.
func parseASPNETv3(blob []byte) (*checker, error) {
	function, iterations := binary.BigEndian.Uint32(blob[1:]), binary.BigEndian.Uint32(blob[5:])
	saltLength, rest := int64(binary.BigEndian.Uint32(blob[9:])), blob[aspnetV3Header:]
	if function >= uint32(len(aspnetDigests)) || iterations > maxPBKDF2Work || saltLength < minASPNETSalt || saltLength > maxASPNETSalt ||
		int64(len(rest))-saltLength < minDerived || int64(len(rest))-saltLength > maxDerived {
		return nil, errors.New("the password hash is not of ASP.NET Identity version 3, or beyond its limits")
	}
	return checkPBKDF2(digests[aspnetDigests[function]], int(iterations), rest[:saltLength], rest[saltLength:])
}

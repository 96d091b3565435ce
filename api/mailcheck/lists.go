package mailcheck

// minGmailName is the length of the shortest name that Google gives out.
const minGmailName = 6

// fakeAddresses are what people type who do not want to give an address.
var fakeAddresses = []string{
	"a@a.com", "a@b.com", "asdf@asdf.com", "email@email.com", "foo@bar.com", "foobar@gmail.com", "no@no.com",
	"none@none.com", "nobody@nowhere.com", "test@test.com", "test123@gmail.com", "testing@gmail.com",
	"testtest@gmail.com", "user@domain.com", "username@gmail.com", "you@domain.com",
}

// fakeHosts have no mailboxes, nor do the names below them. The first three are reserved (RFC 2606).
var fakeHosts = []string{"example.com", "example.net", "example.org", "test.com", "localhost.localdomain"}

// reservedSuffixes are top-level domains that will never exist on the Internet.
var reservedSuffixes = []string{".test", ".example", ".invalid", ".local", ".localhost"}

// largeProviders are not looked up: their mail servers exist.
var largeProviders = []string{
	"gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "msn.com", "yahoo.com", "ymail.com",
	"icloud.com", "me.com", "mac.com", "aol.com", "proton.me", "protonmail.com", "gmx.de", "gmx.net", "web.de",
	"mail.ru", "yandex.ru", "qq.com",
}

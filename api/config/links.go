package config

// Links are what a mailed link does when it is opened (docs/links.md).
type Links struct {
	Page            bool `env:"POSTERN_MAILER_LINK_PAGE" envDefault:"false" desc:"A mailed link opens a page with a button, and only the button redeems it: mail scanners that open links do not use them up."`
	OtherDevicePage bool `env:"POSTERN_MAILER_OTHER_DEVICE_PAGE" envDefault:"false" desc:"A PKCE link opened in another browser than the one that asked for it confirms the address and says where to go on, instead of handing out a code that is useless there."`
}

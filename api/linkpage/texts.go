package linkpage

import "golang.org/x/text/language"

// languages are those of texts, in the same order; the first one is for everybody else.
var languages = []language.Tag{language.English, language.German, language.French, language.Spanish}

var matcher = language.NewMatcher(languages)

// wording is all that the pages say in one language.
type wording struct {
	tag     string
	actions map[string]action // by type of the link; "" for any other
	press   string            // followed by nothing
	pressTo string            // followed by the host the link leads to
	ignore  string

	confirmed, changed string // titles
	asked              string // followed by browser and system
	goBack             string
	goBackChanged      string
	on                 string // between browser and system
	open               string // followed by a host
	continueHere       string
}

// action is what a link is for: the title of the page, and what its button says.
type action struct{ title, button string }

var texts = []wording{{
	tag: "en",
	actions: map[string]action{
		"signup":       {"Confirm your email address", "Confirm"},
		"invite":       {"Accept the invitation", "Accept"},
		"recovery":     {"Set a new password", "Continue"},
		"magiclink":    {"Sign in", "Sign in"},
		"email_change": {"Confirm the change of your email address", "Confirm"},
		"":             {"Continue", "Continue"},
	},
	press:         "Press the button to continue.",
	pressTo:       "Press the button to continue to",
	ignore:        "You did not ask for this? Close the page, and nothing will happen.",
	confirmed:     "Your email address is confirmed",
	changed:       "Your new email address is confirmed",
	asked:         "You asked for this link in another browser:",
	goBack:        "Please go on there: type in the code from the email, if it shows one, or open the link there.",
	goBackChanged: "You can go on there.",
	on:            " on ",
	open:          "Open ",
	continueHere:  "It was this browser: continue here",
}, {
	tag: "de",
	actions: map[string]action{
		"signup":       {"E-Mail-Adresse bestätigen", "Bestätigen"},
		"invite":       {"Einladung annehmen", "Annehmen"},
		"recovery":     {"Neues Passwort setzen", "Weiter"},
		"magiclink":    {"Anmelden", "Anmelden"},
		"email_change": {"Änderung der E-Mail-Adresse bestätigen", "Bestätigen"},
		"":             {"Weiter", "Weiter"},
	},
	press:         "Mit der Taste geht es weiter.",
	pressTo:       "Mit der Taste geht es weiter zu",
	ignore:        "Sie haben das nicht angefordert? Schließen Sie die Seite, dann geschieht nichts.",
	confirmed:     "Ihre E-Mail-Adresse ist bestätigt",
	changed:       "Ihre neue E-Mail-Adresse ist bestätigt",
	asked:         "Sie haben diesen Link in einem anderen Browser angefordert:",
	goBack:        "Bitte machen Sie dort weiter: Geben Sie den Code aus der E-Mail ein, falls sie einen zeigt, oder öffnen Sie dort den Link.",
	goBackChanged: "Dort können Sie weitermachen.",
	on:            " unter ",
	open:          "Zu ",
	continueHere:  "Es war dieser Browser: hier weiter",
}, {
	tag: "fr",
	actions: map[string]action{
		"signup":       {"Confirmer votre adresse e-mail", "Confirmer"},
		"invite":       {"Accepter l’invitation", "Accepter"},
		"recovery":     {"Choisir un nouveau mot de passe", "Continuer"},
		"magiclink":    {"Se connecter", "Se connecter"},
		"email_change": {"Confirmer le changement d’adresse e-mail", "Confirmer"},
		"":             {"Continuer", "Continuer"},
	},
	press:         "Appuyez sur le bouton pour continuer.",
	pressTo:       "Appuyez sur le bouton pour continuer vers",
	ignore:        "Vous n’avez rien demandé ? Fermez la page, et rien ne se passera.",
	confirmed:     "Votre adresse e-mail est confirmée",
	changed:       "Votre nouvelle adresse e-mail est confirmée",
	asked:         "Vous avez demandé ce lien dans un autre navigateur :",
	goBack:        "Continuez là-bas : saisissez le code de l’e-mail, s’il en montre un, ou ouvrez-y le lien.",
	goBackChanged: "Vous pouvez y continuer.",
	on:            " sous ",
	open:          "Ouvrir ",
	continueHere:  "C’était ce navigateur : continuer ici",
}, {
	tag: "es",
	actions: map[string]action{
		"signup":       {"Confirme su correo electrónico", "Confirmar"},
		"invite":       {"Acepte la invitación", "Aceptar"},
		"recovery":     {"Establezca una contraseña nueva", "Continuar"},
		"magiclink":    {"Iniciar sesión", "Iniciar sesión"},
		"email_change": {"Confirme el cambio de correo electrónico", "Confirmar"},
		"":             {"Continuar", "Continuar"},
	},
	press:         "Pulse el botón para continuar.",
	pressTo:       "Pulse el botón para continuar a",
	ignore:        "¿No lo ha pedido usted? Cierre la página y no pasará nada.",
	confirmed:     "Su correo electrónico está confirmado",
	changed:       "Su nuevo correo electrónico está confirmado",
	asked:         "Pidió este enlace en otro navegador:",
	goBack:        "Continúe allí: escriba el código del correo, si muestra uno, o abra el enlace allí.",
	goBackChanged: "Puede continuar allí.",
	on:            " en ",
	open:          "Abrir ",
	continueHere:  "Era este navegador: continuar aquí",
}}

// Shows the session, or the error, that a link hands over in the fragment or the query.
const result = new URLSearchParams(location.hash.slice(1) || location.search);
const error = result.get('error_description') || result.get('error');
const show = (id, text) => (document.getElementById(id).textContent = text);
if (error) {
  show('title', 'That did not work');
  show('text', error);
}
const lines = [...result].map(([name, value]) => `${name}=${value}`);
const token = result.get('access_token');
if (token) lines.push('', '# who is this?', `curl "$API/user" -H "apikey: $ANON_KEY" -H "Authorization: Bearer ${token}"`);
show('session', lines.join('\n'));

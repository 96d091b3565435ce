-- name: CreateCustomProvider :one
select postern_internal.create_custom_provider(
  p_provider => @provider, p_refusal => sqlc.narg(refusal), p_context => @context)::jsonb as provider;

-- name: UpdateCustomProvider :one
select postern_internal.update_custom_provider(
  p_identifier => @identifier, p_changes => @changes, p_refusal => sqlc.narg(refusal),
  p_context => @context)::jsonb as provider;

-- name: GetCustomProvider :one
select postern_internal.get_custom_provider(p_identifier => @identifier, p_context => @context)::jsonb as provider;

-- name: DeleteCustomProvider :exec
select postern_internal.delete_custom_provider(p_identifier => @identifier, p_context => @context);

-- name: ListCustomProviders :one
select postern_internal.list_custom_providers(p_type => @provider_type, p_context => @context)::jsonb as providers;

-- name: UsableCustomProvider :one
select postern_internal.usable_custom_provider(p_identifier => @identifier, p_context => @context)::jsonb as provider;

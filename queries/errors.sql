-- name: TriggersOfFunctions :many
select t::text as trigger from postern_internal.triggers_of_functions(p_functions => @functions::text[]) as t;

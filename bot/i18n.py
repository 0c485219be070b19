"""Localizes the values that are handed to a platform: views, and the responses to commands."""

from dataclasses import replace

from bot.domain import Failed, Part, Picture, PicturePart, Rendered, View
from bot.formatting import alternative_text
from bot.notices import LANGUAGES, text
from bot.ports import Surface
from bot.settings.values import CommandResponse, SettingField


def localized(view: View, language: str) -> View:
    """Return the view with texts in this language in place of all notices; English for an unknown language."""
    language = language if language in LANGUAGES else "en"
    return replace(
        view,
        parts=tuple(_localized_part(part, language) for part in view.parts),
        status=text(view.status, language),
        buttons=tuple(replace(button, label=text(button.label, language)) for button in view.buttons),
        language=language,
    )


def localized_picture(picture: Picture, language: str) -> Picture:
    """Return the picture with its method, its notes and the alternative text of an upload in this language."""
    notes = tuple(text(note, language) for note in picture.notes)
    alt = text(alternative_text(picture), language)
    return replace(picture, edit_method=text(picture.edit_method, language), notes=notes, alt=alt)


def localized_response(response: CommandResponse, language: str) -> CommandResponse:
    """Return the response with texts in this language in place of all notices; English for an unknown language."""
    language = language if language in LANGUAGES else "en"
    panel, attachment = response.panel, response.attachment
    return replace(
        response,
        text=text(response.text, language),
        panel=panel
        and replace(panel, fields=tuple(_field(each, language) for each in panel.fields), language=language),
        attachment=attachment and replace(attachment, alt=text(attachment.alt, language)),
        language=language,
    )


def _field(field: SettingField, language: str) -> SettingField:
    return replace(
        field,
        title=text(field.title, language),
        description=text(field.description, language),
        choice_names=tuple(text(name, language) for name in field.choice_names),
    )


def _localized_part(part: Part, language: str) -> Part:
    match part:
        case PicturePart(state=Failed(reason, again)):
            return replace(part, state=Failed(text(reason, language), again))
        case PicturePart(state=Rendered(picture)):
            return replace(part, state=Rendered(localized_picture(picture, language)))
    return part


class LocalizedSurface:
    """A surface that receives views with notices and shows them in one language."""

    def __init__(self, surface: Surface, language: str) -> None:
        self._surface = surface
        self._language = language

    @property
    def pause(self) -> float:
        """The pause of the surface, in seconds."""
        return self._surface.pause

    async def put(self, view: View) -> None:
        """Show the view in the language."""
        await self._surface.put(localized(view, self._language))
